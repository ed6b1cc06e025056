import assert from "node:assert/strict";
import { liveBroker } from "../live_broker.ts";
import { contents, contentsOf, createReplaySite, line, NOW_MS } from "./replay_site.ts";

await liveBroker();

const YEAR_MS = 365 * 86_400_000;

Deno.test("tracker replay puts records back byte for byte and in order, proves it, and a second run sends nothing", async () => {
  await using replaying = await createReplaySite();
  const bytes = new Uint8Array([0xff, 0x00, 0xfe]);
  const all = [
    line({ offset: 5, key: null }),
    line({ offset: 6, value: null }),
    line({ offset: 7, value: "", key: "" }),
    line({ offset: 9, value: bytes, key: bytes }),
    line({
      offset: 10,
      headers: [["a", "1"], ["b", null], ["a", "2"], ["a", bytes], ["", ""], ["9", "x"], [
        "1",
        "y",
      ]],
    }),
    line({ offset: 11, timestampMs: NOW_MS - 20 * YEAR_MS }),
    line({ offset: 12, timestampMs: NOW_MS + YEAR_MS }),
    line({ offset: 13, timestampMs: 0 }),
    line({ offset: 14, timestampMs: -1 }),
    line({ offset: 15, timestampMs: "9007199254740993" }),
    line({ offset: 16, value: "\ufeff\u001b[31m\u2028" }),
    line({ partition: 4, offset: 3 }),
    line({ partition: 4, offset: 8 }),
  ];
  const logs = await replaying.write(all);
  const first = await replaying.replay(["--logs", logs, "--create-topics"]);
  const { replayed, in_topic, missing, duplicated, different, ok } = first;
  assert.deepEqual(
    { replayed, in_topic, missing, duplicated, different, ok },
    { replayed: 13, in_topic: 13, missing: 0, duplicated: 0, different: 0, ok: true },
  );
  assert.deepEqual([first.partitions, first.created, first.sent], [5, true, 13]);
  assert.deepEqual(contents(await replaying.read()), contentsOf(all));

  const second = await replaying.replay(["--logs", logs]);
  assert.deepEqual([second.sent, second.replayed, second.in_topic, second.ok], [0, 13, 13, true]);
  assert.equal((await replaying.read()).length, 13);

  const dry = await replaying.replay(["--logs", logs, "--dry-run"]);
  assert.deepEqual([dry.would_replay, dry.already_replayed, dry.dry_run], [0, 13, true]);
});
