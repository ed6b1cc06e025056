import assert from "node:assert/strict";
import { encodeSealed } from "../../lib/journal/sealed_text.ts";
import type { KafkaRecord } from "../../lib/record.ts";
import { TestFolder } from "../journal/fixture.ts";
import { bytesOf, recordOf, search, writeJournal } from "./journal_site.ts";

function records(count: number): readonly KafkaRecord[] {
  return Array.from({ length: count }, (_, offset) => recordOf(offset));
}

const places = (...offsets: readonly number[]) => offsets.map((offset) => `0:${offset}`);

interface Manifest {
  readonly body: { readonly record_times?: { readonly min: number; readonly max: number } };
}

function readManifest(folder: TestFolder, name: string): Manifest {
  return JSON.parse(Deno.readTextFileSync(folder.file(name)));
}

Deno.test("a search by offset or time opens only the segments that can contain a match", async () => {
  using folder = new TestFolder();
  await writeJournal(folder.path, records(100), { rotateBytes: 5_000, compress: true });
  const archives = folder.names("tracker.archive.").length;
  assert.ok(archives > 5);
  const byOffset = await search(folder.path, { partition: 0, offsets: { from: 30, to: 32 } });
  assert.deepEqual(byOffset.places, places(30, 31, 32));
  assert.ok(byOffset.skippedCount >= archives - 2, `${byOffset.skippedCount} of ${archives}`);
  const byTime = await search(folder.path, { times: { min: 1_090_000, max: 1_091_000 } });
  assert.deepEqual(byTime.places, places(90, 91));
  assert.ok(byTime.skippedCount >= archives - 2, `${byTime.skippedCount} of ${archives}`);
  const elsewhere = await search(folder.path, { topic: "other" });
  assert.deepEqual([elsewhere.places.length, elsewhere.skippedCount], [0, archives]);
});

Deno.test("a segment whose manifest, from an earlier version, has no time range is read", async () => {
  using folder = new TestFolder();
  await writeJournal(folder.path, records(100), { rotateBytes: 5_000 });
  const names = folder.names("tracker.manifest.");
  for (const name of names) {
    const { record_times: _, ...body } = readManifest(folder, name).body;
    Deno.writeTextFileSync(folder.file(name), encodeSealed(body, { version: 1 }));
  }
  const found = await search(folder.path, { times: { min: 1_090_000, max: 1_091_000 } });
  assert.deepEqual([found.places, found.skippedCount], [places(90, 91), 0]);
});

Deno.test("a manifest's time range includes lines from before a restart, and is omitted if a line has no record time", async () => {
  using folder = new TestFolder();
  const all = records(30);
  const options = { rotateBytes: 5_000, recordsAtATime: 1 };
  await writeJournal(folder.path, all.slice(0, 3), options);
  await writeJournal(folder.path, all.slice(3), options);
  const { min, max = 0 } = readManifest(folder, "tracker.manifest.000001.json").body.record_times ??
    {};
  assert.equal(min, 1_000_000);
  assert.ok(max > 1_003_000);

  using other = new TestFolder();
  const goLine =
    '{"timestamp":"1970-01-01T00:16:39Z","event_type":"message.received","kafka_topic":"orders",' +
    '"kafka_partition":0,"kafka_offset":0,"raw_message":"{}","message_size":2,"deserialized":true,"order_full":{}}\n';
  Deno.writeTextFileSync(other.active, goLine);
  await writeJournal(other.path, all.slice(1), { rotateBytes: 5_000 });
  const { body } = readManifest(other, "tracker.manifest.000001.json");
  assert.equal(body.record_times, undefined);
  // A line without a record timestamp is matched by the time it was received.
  const found = await search(other.path, { times: { min: 999_000, max: 1_001_000 } });
  assert.deepEqual(found.places, places(0, 1));
});

Deno.test("matches from several journals come in the order of the folders, each folder once", async () => {
  using a = new TestFolder();
  using b = new TestFolder();
  await writeJournal(a.path, [recordOf(1)]);
  await writeJournal(b.path, [recordOf(2, { partition: 1 })]);
  const { places } = await search([b.path, a.path, `${b.path}/.`], { text: "order" });
  assert.deepEqual(places, ["1:2", "0:1"]);
});

Deno.test("a damaged archive is reported as a problem, and the readable part is searched", async () => {
  using folder = new TestFolder();
  await writeJournal(folder.path, records(100), { rotateBytes: 5_000, compress: true });
  const [first = "", second = "", third = ""] = folder.names("tracker.archive.");
  const bytes = Deno.readFileSync(folder.file(first));
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  Deno.writeFileSync(folder.file(first), bytes);
  Deno.writeFileSync(folder.file(second), new Uint8Array()); // truncated between two blocks
  Deno.truncateSync(folder.file(third), 100);
  const { places, problems } = await search(folder.path, { text: "order-" });
  assert.equal(places.at(-1), "0:99");
  assert.ok(places.length > 50 && places.length < 100);
  assert.equal(problems.length, 3, problems.join("\n"));
  for (const [index, name] of [first, second, third].entries()) {
    assert.ok(problems[index]?.includes(name), problems[index]);
  }
  // None of the damaged archives can contain this record.
  const last = await search(folder.path, { offsets: { from: 99, to: 99 } });
  assert.deepEqual([last.places, last.problems], [["0:99"], []]);
});

Deno.test("a missing or truncated segment is reported as a problem, but not one removed by retention", async () => {
  using folder = new TestFolder();
  await writeJournal(folder.path, records(60), { rotateBytes: 5_000 });
  const [first = "", second = "", third = ""] = folder.names("tracker.events.");
  Deno.removeSync(folder.file(first));
  Deno.truncateSync(folder.file(second), 2_000);
  Deno.removeSync(folder.file(third));
  Deno.renameSync(
    folder.file("tracker.manifest.000003.json"),
    folder.file("tracker.removed.000003.json"),
  );
  const { problems } = await search(folder.path, {});
  assert.match(problems[0] ?? "", /tracker\.events\.000001": the segment is missing$/);
  assert.match(problems[1] ?? "", /tracker\.events\.000002": the segment was changed: it has 2000/);
  assert.match(
    problems[2] ?? "",
    /byte \d+ of ".*000002": it is longer than any record, or truncated/,
  );
  assert.equal(problems.length, 3, problems.join("\n"));
});

Deno.test("a line that is not a record is a problem if it may match, unlike a torn last line", async () => {
  using folder = new TestFolder();
  await writeJournal(folder.path, records(3));
  Deno.writeTextFileSync(folder.active, 'order-77 is no record\n{"kafka_offset":5', {
    append: true,
  });
  const { places: found, problems } = await search(folder.path, { text: "order-" });
  assert.deepEqual(found, places(0, 1, 2));
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? "", /^Cannot read the line at byte \d+ of ".*tracker\.events": /);
  assert.deepEqual((await search(folder.path, { text: "order-1" })).problems, []);
});

Deno.test("a folder without a journal is a problem, and the others are searched", async () => {
  using folder = new TestFolder();
  using empty = new TestFolder();
  await writeJournal(folder.path, records(1));
  const { places, problems } = await search([empty.path, `${empty.path}/none`, folder.path], {});
  assert.deepEqual(places, ["0:0"]);
  assert.equal(problems.length, 2);
  assert.match(problems[0] ?? "", /^no journal in /);
});

Deno.test("a search ends at its limit and reports that it is incomplete", async () => {
  using folder = new TestFolder();
  await writeJournal(folder.path, records(100), { rotateBytes: 5_000 });
  const limited = await search(folder.path, { text: "order-" }, { limit: 3 });
  assert.deepEqual([limited.places, limited.isComplete], [places(0, 1, 2), false]);
  const all = await search(folder.path, { text: "order-42" }, { limit: 3 });
  assert.deepEqual([all.places, all.isComplete], [places(42), true]);
  const stopped = await search(folder.path, {}, { signal: AbortSignal.abort() });
  assert.deepEqual([stopped.places, stopped.isComplete], [[], false]);
});

Deno.test("superseded lines are found like all others, with their leader epochs", async () => {
  using folder = new TestFolder();
  const value = (text: string) => ({ value: bytesOf(text) });
  await writeJournal(folder.path, [recordOf(5, { leaderEpoch: 1, ...value("old") })]);
  const [line = ""] = (await search(folder.path, {})).lines;
  const later = line.replace('"raw_message":"old"', '"raw_message":"new"')
    .replace('"kafka_leader_epoch":1', '"kafka_leader_epoch":2');
  Deno.writeTextFileSync(folder.active, `${later}\n`, { append: true });
  const { lines } = await search(folder.path, { offsets: { from: 5, to: 5 } });
  assert.deepEqual(lines, [line, later]);
});
