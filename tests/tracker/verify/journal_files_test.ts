import assert from "node:assert/strict";
import { join } from "node:path";
import { denoStorage, type Storage } from "../../../lib/tracker/journal/storage.ts";
import { JournalFiles, type JournalLine } from "../../../lib/tracker/verify/journal_files.ts";
import { TestFolder } from "../journal/fixture.ts";

const DECODER = new TextDecoder();

function textsOf(lines: Iterable<JournalLine>): (string | undefined)[] {
  return Array.from(lines, ({ bytes }) => bytes && DECODER.decode(bytes));
}

async function readAll(files: JournalFiles): Promise<(string | undefined)[]> {
  const texts: (string | undefined)[] = [];
  for await (const { lines } of files.readAll()) texts.push(...textsOf(lines));
  return texts;
}

Deno.test("JournalFiles.readAll() gives each line of every segment, in the order of their numbers", async () => {
  using folder = new TestFolder();
  const long = "x".repeat(3_500_000);
  Deno.writeTextFileSync(folder.file("tracker.events.000002"), "c\nd\n");
  Deno.writeTextFileSync(folder.file("tracker.events.000001"), `a\n${long}\nb\n`);
  Deno.writeTextFileSync(folder.file("tracker.events.000010"), "e\n");
  Deno.writeTextFileSync(folder.active, "f\n\nto");
  Deno.writeTextFileSync(folder.file("tracker.log"), "none of it\n");
  using files = await JournalFiles.open([folder.path]);

  assert.deepEqual(await readAll(files), ["a", long, "b", "c", "d", "e", "f", ""]);
  assert.equal(files.tornBytes, 2);
  assert.equal(files.bytes, long.length + 16);
});

Deno.test("JournalFiles.readAll() gives lines of any length across any reads", async () => {
  using folder = new TestFolder();
  const lines = Array.from({ length: 3_000 }, (_, index) => "y".repeat((index * 7919) % 2_500));
  Deno.writeTextFileSync(folder.active, lines.map((line) => line + "\n").join(""));
  using files = await JournalFiles.open([folder.path]);
  assert.deepEqual(await readAll(files), lines);
});

Deno.test("JournalFiles.readRanges() gives the lines within ranges over several journals", async () => {
  using a = new TestFolder();
  using b = new TestFolder();
  Deno.writeTextFileSync(a.file("tracker.events.000001"), "a1\na2\n");
  Deno.writeTextFileSync(a.active, "a3\na4\n");
  Deno.writeTextFileSync(b.active, "b1\nb2\n");
  using files = await JournalFiles.open([a.path, b.path, a.path]);
  assert.equal(files.journalCount, 2);

  const texts: (string | undefined)[] = [];
  for await (
    const { journal, lines } of files.readRanges([{ start: 3, end: 9 }, { start: 15, end: 18 }])
  ) texts.push(...textsOf(lines).map((text) => `${journal} ${text}`));

  assert.deepEqual(texts, ["0 a2", "0 a3", "1 b2"]);
  assert.deepEqual(files.placeOf(9), { path: a.active, byte: 3 });
});

Deno.test("JournalFiles keeps to the size that a segment had, whatever is appended or cut", async () => {
  using folder = new TestFolder();
  Deno.writeTextFileSync(folder.active, "a\nb\n");
  using files = await JournalFiles.open([folder.path]);
  Deno.writeTextFileSync(folder.active, "c\n", { append: true });
  assert.deepEqual(await readAll(files), ["a", "b"]);
  Deno.renameSync(folder.active, folder.file("tracker.events.000001"));
  assert.deepEqual(await readAll(files), ["a", "b"]);
  Deno.truncateSync(folder.file("tracker.events.000001"), 3);
  assert.deepEqual(await readAll(files), ["a"]);
});

Deno.test("JournalFiles.open() misses no segment that is closed while it lists them", async () => {
  using folder = new TestFolder();
  Deno.writeTextFileSync(folder.active, "a\n");
  let listings = 0;
  const storage: Storage = {
    ...denoStorage,
    list: async (directory) => {
      const names = await denoStorage.list(directory);
      if (++listings === 1) {
        // Just after it was listed, the active segment is closed and another one begun.
        Deno.renameSync(folder.active, join(directory, "tracker.events.000001"));
        Deno.writeTextFileSync(folder.active, "b\n");
      }
      return names;
    },
  };
  using files = await JournalFiles.open([folder.path], storage);
  assert.deepEqual(await readAll(files), ["a", "b"]);
});
