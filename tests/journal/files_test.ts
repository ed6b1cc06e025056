import assert from "node:assert/strict";
import { join } from "node:path";
import { denoStorage, type Storage } from "../../lib/journal/storage.ts";
import { JournalFiles, type JournalLine } from "../../lib/journal/journal_files.ts";
import { requireJournals } from "../../lib/journal/segment_listing.ts";
import { packBlock } from "../../lib/journal/archive.ts";
import { checkManifests } from "../../lib/journal/manifest_check.ts";
import { FaultyStorage, TestFolder } from "./fixture.ts";

const DECODER = new TextDecoder();
const bytesOf = (text: string) => new TextEncoder().encode(text);

function textsOf(lines: Iterable<JournalLine>): (string | undefined)[] {
  return Array.from(lines, ({ bytes }) => bytes && DECODER.decode(bytes));
}

async function readAll(files: JournalFiles): Promise<(string | undefined)[]> {
  const texts: (string | undefined)[] = [];
  for await (const { lines } of files.readAll()) texts.push(...textsOf(lines));
  return texts;
}

Deno.test("JournalFiles.readAll() returns every line of every segment in order", async () => {
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

Deno.test("JournalFiles.readAll() returns lines of any length, however the reads split them", async () => {
  using folder = new TestFolder();
  const lines = Array.from({ length: 3_000 }, (_, index) => "y".repeat((index * 7919) % 2_500));
  Deno.writeTextFileSync(folder.active, lines.map((line) => line + "\n").join(""));
  using files = await JournalFiles.open([folder.path]);
  assert.deepEqual(await readAll(files), lines);
});

Deno.test("JournalFiles.readRanges() returns the lines within ranges across several journals", async () => {
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

Deno.test("JournalFiles reads each segment up to its size at the time of opening, despite appends and cuts", async () => {
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

Deno.test("JournalFiles.open() misses no segment that is closed during the listing", async () => {
  using folder = new TestFolder();
  Deno.writeTextFileSync(folder.active, "a\n");
  let listings = 0;
  const storage: Storage = {
    ...denoStorage,
    list: async (directory) => {
      const names = await denoStorage.list(directory);
      if (++listings === 1) {
        // Just after the listing, the active segment is closed and another one begun.
        Deno.renameSync(folder.active, join(directory, "tracker.events.000001"));
        Deno.writeTextFileSync(folder.active, "b\n");
      }
      return names;
    },
  };
  using files = await JournalFiles.open([folder.path], { storage });
  assert.deepEqual(await readAll(files), ["a", "b"]);
});

Deno.test("JournalFiles.open() completes even if the tracker closes a segment each time one is opened", async () => {
  using folder = new TestFolder();
  const closedFile = (number: number) => folder.file(`tracker.events.00000${number}`);
  Deno.writeTextFileSync(closedFile(1), "1\n");
  Deno.writeTextFileSync(closedFile(2), "2\n");
  Deno.writeTextFileSync(folder.active, "3\n");
  let closedCount = 2;
  const storage: Storage = {
    ...denoStorage,
    open: async (path, mode) => {
      const file = await denoStorage.open(path, mode);
      if (path !== folder.active) {
        Deno.renameSync(folder.active, closedFile(++closedCount));
        Deno.writeTextFileSync(folder.active, `${closedCount + 1}\n`);
      }
      return file;
    },
  };
  using files = await JournalFiles.open([folder.path], { storage });
  assert.deepEqual(await readAll(files), ["1", "2", "3"]);
});

for (const when of ["before a folder is listed", "after a folder is listed"]) {
  Deno.test(`JournalFiles.open() completes even if the tracker closes two segments each time ${when}`, async () => {
    using folder = new TestFolder();
    const closedFile = (number: number) =>
      folder.file(`tracker.events.${`${number}`.padStart(6, "0")}`);
    Deno.writeTextFileSync(closedFile(1), "1\n");
    Deno.writeTextFileSync(folder.active, "2\n");
    let closedCount = 1;
    const closeTwo = () => {
      for (let left = 2; left > 0; left--) {
        Deno.renameSync(folder.active, closedFile(++closedCount));
        Deno.writeTextFileSync(folder.active, `${closedCount + 1}\n`);
      }
    };
    const storage: Storage = {
      ...denoStorage,
      list: async (directory) => {
        if (when.startsWith("before")) closeTwo();
        const names = await denoStorage.list(directory);
        if (when.startsWith("after")) closeTwo();
        return names;
      },
    };
    using files = await JournalFiles.open([folder.path], { storage });
    assert.deepEqual(await readAll(files), ["1", "2", "3", "4", "5", "6"]);
    assert.equal(files.placeOf(10).path, closedFile(6));
  });
}

Deno.test("a journal whose only segment is closed during the listing is found", async () => {
  using folder = new TestFolder();
  Deno.writeTextFileSync(folder.active, "a\n");
  let isClosed = false;
  const storage: Storage = {
    ...denoStorage,
    async list(directory) {
      const names = await denoStorage.list(directory);
      if (!isClosed) Deno.renameSync(folder.active, folder.file("tracker.events.000001"));
      isClosed = true;
      return names;
    },
  };
  await requireJournals([folder.path], storage);
  using empty = new TestFolder();
  await assert.rejects(requireJournals([empty.path], storage), /no journal in/);
});

Deno.test("JournalFiles and checkManifests() have at most two files open, however many segments there are", async () => {
  using folder = new TestFolder();
  for (let number = 1; number <= 50; number++) {
    Deno.writeTextFileSync(folder.file(`tracker.events.${`${number}`.padStart(6, "0")}`), "a\n");
  }
  Deno.writeTextFileSync(folder.active, "b\n");
  const storage = new FaultyStorage();
  let openMax = 0;
  const open = storage.open.bind(storage);
  storage.open = async (...args) => {
    const file = await open(...args);
    openMax = Math.max(openMax, storage.openCount);
    return file;
  };
  {
    using files = await JournalFiles.open([folder.path], { storage });
    const texts: (string | undefined)[] = [];
    for await (const { lines } of files.readAll()) texts.push(...textsOf(lines));
    assert.equal(texts.length, 51);
    for await (const { lines } of files.readRanges([{ start: 0, end: 102 }])) {
      texts.push(...textsOf(lines));
    }
    assert.equal(texts.length, 102);
    await checkManifests(folder.path, { storage });
  }
  assert.ok(openMax <= 2, `${openMax} files were open`);
  assert.equal(storage.openCount, 0);
});

Deno.test("JournalFiles reads a segment that is compressed before its turn, and skips one that is removed", async () => {
  using folder = new TestFolder();
  for (const [number, text] of ["a\n", "b\n", "c\n"].entries()) {
    Deno.writeTextFileSync(folder.file(`tracker.events.00000${number + 1}`), text);
  }
  Deno.writeTextFileSync(folder.active, "d\n");
  using files = await JournalFiles.open([folder.path]);
  Deno.renameSync(folder.active, folder.file("tracker.events.000004"));
  Deno.writeTextFileSync(folder.active, "e\n");
  Deno.writeFileSync(folder.file("tracker.archive.000002.zst"), packBlock(bytesOf("b\n")));
  Deno.removeSync(folder.file("tracker.events.000002"));
  Deno.removeSync(folder.file("tracker.events.000003"));
  assert.deepEqual(await readAll(files), ["a", "b", "d"]);
});
