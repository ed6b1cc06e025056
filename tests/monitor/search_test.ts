import assert from "node:assert/strict";
import { join } from "node:path";
import { packBlock } from "../../lib/journal/archive.ts";
import { Follower } from "../../lib/monitor/follow.ts";
import { FOUND_COUNT_MAX } from "../../lib/monitor/model/found_records.ts";
import { INITIAL_CONTROLS } from "../../lib/monitor/screen/controls.ts";
import { frameLines } from "../../lib/monitor/screen/frame.ts";
import { toText } from "../../lib/monitor/screen/parts/line.ts";
import { until } from "../site.ts";
import { journalLine, VALIDATION_FAILURE } from "./journal_lines.ts";
import { Logs } from "./logs.ts";

const ENCODER = new TextEncoder();

/** Returns lines of valid orders, except for the `failed` offsets. */
function linesOf(from: number, count: number, failed: readonly number[] = []): string {
  return Array.from({ length: count }, (_, index) =>
    journalLine({
      receivedAtMs: Date.now(),
      offset: from + index,
      ...(failed.includes(from + index) && { verdict: VALIDATION_FAILURE }),
    })).join("");
}

/** Writes 1,400 lines: an archive, two closed segments (one also archived), and the active segment. */
function writeJournal(logs: Logs): void {
  const archived = ENCODER.encode(linesOf(0, 500, [3]));
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < archived.length; at += 10_007) {
    blocks.push(packBlock(archived.subarray(at, at + 10_007)));
  }
  const path = (name: string) => join(logs.path, name);
  Deno.writeFileSync(
    path("tracker.archive.000001.zst"),
    Uint8Array.from(blocks.flatMap((block) => [...block])),
  );
  Deno.writeTextFileSync(path("tracker.events.000002"), linesOf(500, 400, [600]));
  Deno.writeTextFileSync(path("tracker.events.000003"), linesOf(900, 400));
  Deno.writeFileSync(
    path("tracker.archive.000003.zst"),
    packBlock(ENCODER.encode(linesOf(900, 9))),
  );
  logs.journal(linesOf(1_300, 100, [1_390]) + `{"timestamp":"half a li`);
}

Deno.test("a search covers the whole journal, newest first, and includes lines appended meanwhile", async () => {
  using logs = new Logs();
  writeJournal(logs);
  using follower = new Follower(logs.path);
  await follower.catchUp();
  const failed = follower.search({ text: undefined });
  const one = follower.search({ text: "00000000-0000-4000-8000-000000000007" });
  await until(
    "both searches are done",
    () => failed.found.progress !== "searching" && one.found.progress !== "searching",
  );
  assert.deepEqual(failed.found.events.map(({ offset }) => offset), [1_390, 600, 3]);
  assert.deepEqual(one.found.events.map(({ offset }) => offset), [7], "in the archive");
  assert.equal(one.found.progress, "complete");
  assert.equal(one.found.readBytes, one.found.totalBytes);

  logs.journal("ne\n" + linesOf(1_400, 5, [1_402]));
  await follower.catchUp();
  assert.deepEqual(failed.found.events.map(({ offset }) => offset), [1_402, 1_390, 600, 3]);

  const frame = frameLines({
    snapshot: { ...follower.snapshot(), found: one.found, foundFailed: failed.found },
    newCount: 0,
    controls: { ...INITIAL_CONTROLS, filter: one.query.text ?? "" },
    columns: 120,
    rows: 30,
    glyphs: "braille",
    folder: "logs",
    intervalMs: 500,
    notice: "",
  }).map(toText).join("\n");
  assert.match(frame, /Records, 1 match in the whole journal \([\d.]+ [kM]B\)[^]*ok 0@7 /);
});

Deno.test("a search keeps a bounded number of records and reports that there are more", async () => {
  using logs = new Logs();
  logs.journal(linesOf(0, FOUND_COUNT_MAX + 200));
  using follower = new Follower(logs.path);
  await follower.catchUp();
  const search = follower.search({ text: "PENDING" });
  await until("the search has ended", () => search.found.progress !== "searching");
  assert.equal(search.found.progress, "limited");
  assert.equal(search.found.events.length, FOUND_COUNT_MAX);
  assert.equal(search.found.events[0]?.offset, FOUND_COUNT_MAX + 199);
});

Deno.test("a search skips pipes, oversized lines, and a damaged archive, and continues after them", async () => {
  using logs = new Logs();
  Deno.writeTextFileSync(join(logs.path, "tracker.events.000001"), linesOf(0, 3));
  Deno.writeTextFileSync(join(logs.path, "tracker.archive.000002.zst"), "no archive, long enough");
  const args = [join(logs.path, "tracker.events.000003")];
  assert.ok((await new Deno.Command("mkfifo", { args }).output()).success);
  const long = new Uint8Array(70 * 1024 * 1024).fill(0x78);
  using file = Deno.openSync(join(logs.path, "tracker.events"), { write: true, create: true });
  file.writeSync(ENCODER.encode(linesOf(3, 2)));
  for (let at = 0; at < long.length;) at += file.writeSync(long.subarray(at));
  file.writeSync(ENCODER.encode("\n" + linesOf(5, 2)));
  using follower = new Follower(logs.path);
  const search = follower.search({ text: "pending" });
  await until("the search is done", () => search.found.progress === "complete");
  assert.deepEqual(search.found.events.map(({ offset }) => offset), [6, 5, 4, 3, 2, 1, 0]);
});
