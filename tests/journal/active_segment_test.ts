import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { ActiveSegment, SegmentDisplacedError } from "../../lib/journal/active_segment.ts";
import { SegmentEdges } from "../../lib/journal/segments.ts";
import { diskFull, FaultyStorage, TestFolder } from "./fixture.ts";

const encode = (text: string) => new TextEncoder().encode(text);

async function segmentIn(
  folder: TestFolder,
  { storage = new FaultyStorage(), text = "", bytes }: {
    readonly storage?: FaultyStorage;
    readonly text?: string;
    readonly bytes?: number;
  } = {},
): Promise<ActiveSegment> {
  Deno.writeTextFileSync(folder.active, text);
  const edges = new SegmentEdges();
  if (text !== "") edges.append(encode(text));
  return await ActiveSegment.open({
    storage,
    directory: folder.path,
    number: 1,
    bytes: bytes ?? text.length,
    edges,
    isHashed: true,
  });
}

function sha256Of(path: string): string {
  return createHash("sha256").update(Deno.readFileSync(path)).digest("hex");
}

/** Makes the nth sync of the directory fail, once. */
function failSync(storage: FaultyStorage, nth: number): void {
  const { syncDirectory } = storage;
  let count = 0;
  storage.syncDirectory = (directory) =>
    ++count === nth ? Promise.reject(diskFull()) : syncDirectory(directory);
}

Deno.test("ActiveSegment.open() refuses a file whose length differs from what was read", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  for (const bytes of [3, 5]) {
    await assert.rejects(
      segmentIn(folder, { storage, text: "four", bytes }),
      SegmentDisplacedError,
    );
  }
  assert.equal(storage.openCount, 0);
});

Deno.test("a segment written in one run knows its SHA-256, number, edges, and size when it is closed", async () => {
  using folder = new TestFolder();
  const segment = await segmentIn(folder);
  for (const number of [1, 2]) {
    await segment.append([encode(`first ${number}\n`), encode("second\n")]);
    await segment.append([encode("third\n")]);
    const rotated = await segment.rotate();
    assert.equal(rotated.path, folder.file(`tracker.events.00000${number}`));
    assert.equal(rotated.number, number);
    assert.equal(rotated.bytes, Deno.statSync(rotated.path).size);
    assert.equal(rotated.sha256, sha256Of(rotated.path));
    assert.deepEqual(rotated.edges.head, encode(`first ${number}\n`));
    assert.deepEqual(rotated.edges.tail, encode(`first ${number}\nsecond\nthird\n`));
    assert.equal(segment.number, number + 1);
    assert.equal(segment.bytes, 0);
  }
  segment.close();
});

Deno.test("a segment begun by an earlier run has no SHA-256 when it is closed, but the next one has", async () => {
  using folder = new TestFolder();
  const segment = await segmentIn(folder, { text: "begun\n" });
  await segment.append([encode("more\n")]);
  assert.equal((await segment.rotate()).sha256, undefined);
  await segment.append([encode("next\n")]);
  const next = await segment.rotate();
  assert.equal(next.sha256, sha256Of(next.path));
  segment.close();
});

Deno.test("ActiveSegment.rotate() removes what a failed append has left in the file", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  const segment = await segmentIn(folder, { storage });
  await segment.append([encode("good\n")]);
  storage.onSync = () => {
    throw diskFull();
  };
  await assert.rejects(segment.append([encode("not flushed\n")]), /no space/i);
  storage.onSync = () => {};
  const { path, bytes } = await segment.rotate();
  assert.equal(Deno.readTextFileSync(path), "good\n");
  assert.equal(bytes, 5);
  segment.close();
});

Deno.test("ActiveSegment.rotate() does not close a file that another process cut or wrote to, because it can still be repaired", async () => {
  for (const text of ["goo", "good\n{}\n"]) {
    using folder = new TestFolder();
    const segment = await segmentIn(folder);
    await segment.append([encode("good\n")]);
    const file = await Deno.open(folder.active, { write: true });
    await file.write(encode(text));
    await file.truncate(text.length);
    file.close();
    await assert.rejects(segment.rotate(), SegmentDisplacedError);
    assert.deepEqual(folder.names("tracker.events"), ["tracker.events"]);
    segment.close();
  }
});

Deno.test("ActiveSegment.append() is refused until a pending rotation is finished", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  const segment = await segmentIn(folder, { storage });
  await segment.append([encode("good\n")]);
  failSync(storage, 1);
  await assert.rejects(segment.rotate(), /no space/i);
  await assert.rejects(segment.append([encode("more\n")]), TypeError);
  await segment.rotate();
  await segment.append([encode("more\n")]);
  assert.equal(Deno.readTextFileSync(folder.active), "more\n");
  segment.close();
});

Deno.test("a rotation finishes after any sync of the directory failed, and closes one file only", async () => {
  for (const nth of [1, 2]) {
    using folder = new TestFolder();
    const storage = new FaultyStorage();
    const segment = await segmentIn(folder, { storage });
    await segment.append([encode("good\n")]);
    failSync(storage, nth);
    await assert.rejects(segment.rotate(), /no space/i);
    const { number, bytes } = await segment.rotate();
    assert.deepEqual({ number, bytes }, { number: 1, bytes: 5 });
    await segment.append([encode("more\n")]);
    assert.deepEqual(folder.names("tracker.events"), ["tracker.events", "tracker.events.000001"]);
    assert.equal(Deno.readTextFileSync(folder.active), "more\n");
    assert.equal(storage.openCount, 1);
    segment.close();
    assert.equal(storage.openCount, 0);
  }
});

Deno.test("a rotation does not continue if the closed file is gone, or another file replaced the active one", async () => {
  const changes: Readonly<Record<string, (folder: TestFolder) => void>> = {
    "closed file gone": (folder) => Deno.removeSync(folder.file("tracker.events.000001")),
    "closed file cut": (folder) => Deno.truncateSync(folder.file("tracker.events.000001"), 1),
    "closed file written to": (folder) =>
      Deno.writeTextFileSync(folder.file("tracker.events.000001"), "more\n", { append: true }),
    "another file": (folder) => Deno.writeTextFileSync(folder.active, "somebody's\n"),
  };
  for (const [name, change] of Object.entries(changes)) {
    using folder = new TestFolder();
    const storage = new FaultyStorage();
    const segment = await segmentIn(folder, { storage });
    await segment.append([encode("good\n")]);
    failSync(storage, 1);
    await assert.rejects(segment.rotate(), /no space/i);
    change(folder);
    await assert.rejects(segment.rotate(), SegmentDisplacedError, name);
    segment.close();
  }
});

Deno.test("reopening or rotating a segment waits while its folder is missing", async () => {
  for (const step of ["append", "rotate"] as const) {
    using folder = new TestFolder();
    using elsewhere = new TestFolder();
    const storage = new FaultyStorage();
    const segment = await segmentIn(folder, { storage });
    await segment.append([encode("good\n")]);
    if (step === "append") {
      storage.onWrite = () => {
        throw diskFull();
      };
    } else {
      failSync(storage, 1);
    }
    const act = () => step === "append" ? segment.append([encode("more\n")]) : segment.rotate();
    await assert.rejects(act(), /no space/i);
    storage.onWrite = (bytes) => bytes.length;
    Deno.renameSync(folder.path, elsewhere.file("away"));
    for (let time = 0; time < 3; time++) await assert.rejects(act(), Deno.errors.NotFound);
    Deno.renameSync(elsewhere.file("away"), folder.path);
    await act();
    await segment.append([encode("last\n")]);
    const expected = step === "append" ? "good\nmore\nlast\n" : "last\n";
    assert.equal(Deno.readTextFileSync(folder.active), expected);
    segment.close();
  }
});

Deno.test("a file that replaces the segment while it is reopened is not written to", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  const segment = await segmentIn(folder, { storage });
  await segment.append([encode("good\n")]);
  storage.onWrite = () => {
    throw diskFull();
  };
  await assert.rejects(segment.append([encode("more\n")]), /no space/i);
  storage.onWrite = (bytes) => bytes.length;
  const { stat } = storage;
  storage.stat = async (path) => {
    const facts = await stat(path);
    // Replaced just after it was checked.
    Deno.renameSync(folder.active, folder.file("old"));
    Deno.writeTextFileSync(folder.active, "somebody's long text\n");
    storage.stat = stat;
    return facts;
  };
  await assert.rejects(segment.append([encode("more\n")]), SegmentDisplacedError);
  assert.equal(Deno.readTextFileSync(folder.active), "somebody's long text\n");
  assert.equal(Deno.readTextFileSync(folder.file("old")), "good\n");
  assert.equal(storage.openCount, 0);
});

Deno.test("a segment whose file is gone, replaced, or cut when it is reopened is displaced, and nothing waits", async () => {
  const changes: Readonly<Record<string, (folder: TestFolder) => void>> = {
    gone: (folder) => Deno.removeSync(folder.active),
    cut: (folder) => Deno.truncateSync(folder.active, 4),
    replaced: (folder) => {
      Deno.renameSync(folder.active, folder.file("old"));
      Deno.copyFileSync(folder.file("old"), folder.active);
    },
  };
  for (const [name, change] of Object.entries(changes)) {
    using folder = new TestFolder();
    const storage = new FaultyStorage();
    const segment = await segmentIn(folder, { storage });
    await segment.append([encode("good\n")]);
    storage.onWrite = () => {
      throw diskFull();
    };
    await assert.rejects(segment.append([encode("more\n")]), /no space/i);
    storage.onWrite = (bytes) => bytes.length;
    change(folder);
    await assert.rejects(segment.append([encode("more\n")]), SegmentDisplacedError, name);
    await assert.rejects(segment.rotate(), SegmentDisplacedError, name);
    segment.close();
  }
});
