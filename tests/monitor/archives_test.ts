import assert from "node:assert/strict";
import { join } from "node:path";
import { Follower } from "../../lib/monitor/follow.ts";
import { packBlock } from "../../lib/journal/archive.ts";
import { journalLine } from "./journal_lines.ts";
import { Logs } from "./logs.ts";

const ENCODER = new TextEncoder();
/** Not a whole number of lines: blocks of an archive end anywhere. */
const BLOCK_BYTES = 10_007;

function linesOf(from: number, count: number): string {
  const receivedAtMs = Date.now();
  return Array.from(
    { length: count },
    (_, index) => journalLine({ receivedAtMs, offset: from + index }),
  ).join("");
}

function writeArchive(logs: Logs, number: string, text: string): void {
  const bytes = ENCODER.encode(text);
  using file = Deno.openSync(join(logs.path, `tracker.archive.${number}.zst`), {
    write: true,
    create: true,
  });
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    file.writeSync(packBlock(bytes.subarray(at, at + BLOCK_BYTES)));
  }
}

Deno.test("closed segments that are archives only are counted once, and before those that came later", async () => {
  using logs = new Logs();
  writeArchive(logs, "000001", linesOf(0, 300));
  writeArchive(logs, "000002", linesOf(300, 200));
  // In the middle of being put away: both are there.
  writeArchive(logs, "000003", linesOf(500, 50));
  Deno.writeTextFileSync(join(logs.path, "tracker.events.000003"), linesOf(500, 50));
  logs.journal(linesOf(550, 25));
  using follower = new Follower(logs.path);
  await follower.catchUp();
  assert.equal(follower.snapshot().totals.received, 575);
  assert.equal(follower.snapshot().partitions[0]?.lastOffset, 574);

  Deno.removeSync(join(logs.path, "tracker.events.000003"));
  logs.journal(linesOf(575, 5));
  await follower.catchUp();
  assert.equal(follower.snapshot().totals.received, 580);
  assert.equal(follower.snapshot().unreadable.journalLines, 0);
});

Deno.test("an archive that was damaged is said, and does not hide the others", async () => {
  using logs = new Logs();
  writeArchive(logs, "000001", linesOf(0, 100));
  Deno.writeTextFileSync(
    join(logs.path, "tracker.archive.000002.zst"),
    "no archive at all, but long enough",
  );
  writeArchive(logs, "000003", linesOf(200, 100));
  using follower = new Follower(logs.path);
  await follower.catchUp();
  const { totals, unreadable } = follower.snapshot();
  assert.equal(totals.received, 200);
  assert.equal(unreadable.journalLines, 1);
  assert.match(unreadable.sample ?? "", /tracker\.archive\.000002\.zst: the archive is damaged/);
});

/** Goal: a line in an archive that never ends costs time and memory in proportion, up to the bound, and is counted. */
Deno.test("an archive whose line does not end is read in linear time, and counts as one unreadable line", async () => {
  using logs = new Logs();
  const block = packBlock(new Uint8Array(1 << 20).fill(0x78));
  using file = Deno.openSync(join(logs.path, "tracker.archive.000001.zst"), {
    write: true,
    create: true,
  });
  for (let megabytes = 0; megabytes < 100; megabytes++) file.writeSync(block);
  writeArchive(logs, "000002", linesOf(0, 10));
  using follower = new Follower(logs.path);
  const startMs = performance.now();
  await follower.catchUp();
  const { totals, unreadable } = follower.snapshot();
  assert.ok(performance.now() - startMs < 20_000);
  assert.equal(totals.received, 10);
  assert.equal(unreadable.journalLines, 1);
});
