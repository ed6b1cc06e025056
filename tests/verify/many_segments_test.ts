import assert from "node:assert/strict";
import { join } from "node:path";
import { liveBroker } from "../live_broker.ts";
import { createVerifySite, numbered } from "./verify_site.ts";

const PROJECT = join(import.meta.dirname ?? ".", "..", "..");
const SEGMENTS = 805;
const FILES_MAX = 512;

Deno.test({
  name:
    "tracker verify reads 805 segments with 512 file descriptors and reports progress only on standard error",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using site = await createVerifySite();
    const records = await site.send(0, numbered(SEGMENTS));
    const logs = site.writeJournal([]);
    for (const [index, record] of records.entries()) {
      const name = `tracker.events.${String(index + 1).padStart(6, "0")}`;
      site.writeJournal([site.lineOf(record)], { name });
    }
    const { address } = await liveBroker();
    const verify = async (...options: readonly string[]) => {
      const { code, stdout, stderr } = await new Deno.Command("sh", {
        args: [
          "-c",
          `ulimit -n ${FILES_MAX} && exec "$0" "$@"`,
          Deno.execPath(),
          ...["run", "--no-prompt", "-A", "--config", join(PROJECT, "deno.json")],
          ...[join(PROJECT, "tracker.ts"), "verify", "--broker", address],
          ...["--topic", site.topic, "--logs", logs, ...options],
        ],
      }).output();
      const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      return { code, out: out ?? "", error: error ?? "" };
    };

    const json = await verify("--json");
    assert.equal(json.code, 0, json.error);
    const { ok, journaled, segments } = JSON.parse(json.out);
    assert.deepEqual([ok, journaled, segments.length], [true, SEGMENTS, SEGMENTS]);
    assert.match(json.error, /^verify: reading the topic, .* of 805 offsets$/m);
    assert.match(json.error, /^verify: reading the journal, .* bytes$/m);
    assert.match(json.error, /^verify: checking closed segments, .* of 805 segments$/m);

    const text = await verify();
    assert.equal(text.code, 0, text.error);
    assert.match(text.out, /exactly once\n$/);
    assert.doesNotMatch(text.out, /verify:/);
    assert.match(text.error, /^verify: reading the journal/m);
  },
});
