import assert from "node:assert/strict";
import { join } from "node:path";
import { Follower } from "../../lib/monitor/follow.ts";
import { packBlock } from "../../lib/journal/archive.ts";
import { journalLine } from "./journal_lines.ts";
import { Logs } from "./logs.ts";

const ENCODER = new TextEncoder();
/** Not a multiple of the line length, so that blocks end in the middle of lines. */
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

Deno.test("archived segments are counted once and before later segments, even if the segment file is still there", async () => {
  using logs = new Logs();
  writeArchive(logs, "000001", linesOf(0, 300));
  writeArchive(logs, "000002", linesOf(300, 200));
  // Archiving was interrupted: both the archive and the segment exist.
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

Deno.test("a damaged archive is reported and does not hide the other segments", async () => {
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

Deno.test("a 100 MB line in an archive is read in linear time and counts as one unreadable line", async () => {
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
