/**
 * Goal: as in `truncated_log_test.ts`, with a real process, disk, and signal.
 *
 * Method: a child appends to two partitions, truncates them in between, and is killed at a random moment, again and
 * again; every second time its checkpoint is lost.
 *
 * Invariants: each record that was acknowledged and not truncated since is held in its epoch. Each held record has a
 * line in that epoch. No record has two lines.
 */

import assert from "node:assert/strict";
import { newSeed, opened, seededRandom, TestFolder } from "./fixture.ts";
import { TextLineStream } from "./text_line_stream.ts";
import { epochRecordsIn, heldRecords } from "./truncated_log.ts";

const CHILD = new URL("./truncation_crash_child.ts", import.meta.url).pathname;
const ROUND_COUNT = 4;
const PARTITIONS = [0, 1];

Deno.test("a process killed between truncations leaves each acknowledged record that is not superseded, once", async () => {
  const seed = newSeed();
  const random = seededRandom(seed);
  using folder = new TestFolder();
  const acknowledged = PARTITIONS.map(() => new Map<number, number>());
  let truncations = 0;
  for (let round = 0; round < ROUND_COUNT; round++) {
    // Epochs that no leader has had yet.
    const firstEpoch = String(round * 10_000);
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--allow-read", "--allow-write", CHILD, folder.path, firstEpoch],
      stdout: "piped",
    }).spawn();
    const lines = process.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream());
    let timer: ReturnType<typeof setTimeout> | undefined;
    for await (const line of lines) {
      if (line === "open") {
        timer = setTimeout(() => process.kill("SIGKILL"), 200 + random() * 400);
      }
      const [, number = "", from] = /^truncating (\d) (\d+)$/.exec(line) ?? [];
      if (from !== undefined) {
        truncations++;
        const own = acknowledged[Number(number)];
        for (const offset of own?.keys() ?? []) if (offset >= Number(from)) own?.delete(offset);
      }
      const [, owner = "", start, end, epoch] = /^(\d) (\d+) (\d+) (\d+)$/.exec(line) ?? [];
      for (let offset = Number(start); offset < Number(end); offset++) {
        acknowledged[Number(owner)]?.set(offset, Number(epoch));
      }
    }
    clearTimeout(timer);
    assert.equal((await process.status).signal, "SIGKILL");

    if (round % 2 === 1) Deno.removeSync(folder.checkpoint);
    await using it = await opened(folder);
    assert.deepEqual([...it.noticesOf("repeated lines"), ...it.noticesOf("foreign lines")], []);
    const paths = [
      ...folder.names("tracker.events.").map((name) => folder.file(name)),
      folder.active,
    ];
    const records = epochRecordsIn(paths.map((path) => Deno.readTextFileSync(path)));
    const names = new Set(records.map((record) => record.join(" ")));
    assert.equal(names.size, records.length, `seed ${seed}: a record has two lines`);
    for (const number of PARTITIONS) {
      const held = new Map(heldRecords(it.journal, number));
      for (const [offset, epoch] of acknowledged[number] ?? []) {
        assert.equal(held.get(offset), epoch, `seed ${seed}, round ${round}: ${number}:${offset}`);
      }
      for (const [offset, epoch] of held) {
        assert.ok(names.has(`${number} ${offset} ${epoch}`), `seed ${seed}: ${number}:${offset}`);
      }
    }
  }
  assert.ok(truncations > 10, `${truncations} truncations`);
});
