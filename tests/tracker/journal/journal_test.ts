import assert from "node:assert/strict";
import { JournalLockedError } from "../../../lib/tracker/journal/folder_lock.ts";
import {
  JournalClosedError,
  JournalReopenedError,
  openJournal,
} from "../../../lib/tracker/journal/journal.ts";
import { JournalUnwritableError } from "../../../lib/tracker/journal/unwritable.ts";
import {
  appendOf,
  diskFull,
  fastClock,
  FaultyStorage,
  heldNames,
  lineOf,
  namesOf,
  newSeed,
  opened,
  partition,
  recordsInFolder,
  seededRandom,
  TestFolder,
} from "./fixture.ts";

Deno.test("Journal.append() has the lines in the file when it resolves, and they are held", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder);
  assert.equal(it.told("created").length, 1);
  const appending = it.journal.append(appendOf(0, { start: 5, end: 8 }));
  assert.equal(it.journal.holds({ ...partition(0), offset: 5 }), false);
  await appending;
  assert.equal(
    Deno.readTextFileSync(folder.active),
    [5, 6, 7].map((offset) => lineOf(partition(0), offset)).join(""),
  );
  assert.equal(it.journal.holds({ ...partition(0), offset: 4 }), false);
  assert.equal(it.journal.holds({ ...partition(0), offset: 7 }), true);
  assert.equal(it.journal.end(partition(0)), 8);
  assert.equal(it.journal.end(partition(1)), undefined);
  assert.deepEqual(it.journal.heldIntervals(partition(0)), [{ start: 5, end: 8 }]);
});

Deno.test("Journal.append() holds the intervals as they are given, over offsets that do not exist", async () => {
  using folder = new TestFolder();
  const held = [{ start: 0, end: 12 }, { start: 20, end: 25 }];
  {
    await using it = await opened(folder);
    const append = appendOf(0, { start: 3, end: 5 });
    await it.journal.append({ ...append, intervals: held });
    const nothing = { ...partition(1), lines: new Uint8Array(), lineEnds: [] };
    await it.journal.append({ ...nothing, intervals: [{ start: 0, end: 3 }], epochs: [] });
    assert.equal(it.journal.end(partition(1)), 3);
  }
  await using it = await opened(folder);
  assert.deepEqual(it.journal.heldIntervals(partition(0)), held);
});

Deno.test("Journal.append() refuses lines and offsets that would break the journal", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder);
  const good = appendOf(0, { start: 0, end: 2 });
  await it.journal.append(good);
  const next = appendOf(0, { start: 2, end: 4 });
  const underWay = it.journal.append(next);
  const other = appendOf(0, { start: 4, end: 6 });
  const ends = Array.from(other.lineEnds);
  const bad = [
    good,
    next,
    { ...other, lineEnds: [...ends, other.lines.length + 1] },
    { ...other, lineEnds: ends.slice(0, 1) },
    { ...other, lineEnds: [5, ...ends] },
    { ...other, lineEnds: ends.toReversed() },
    { ...other, lineEnds: [] },
    { ...other, lines: other.lines.subarray(0, -1) },
    { ...other, lines: other.lines.subarray(0, -1), lineEnds: ends.slice(0, 1) },
    { ...other, lines: other.lines.map((byte) => byte === 0x0a ? 0x20 : byte) },
    { ...appendOf(0, { start: 4, end: 6 }), intervals: [{ start: 6, end: 4 }] },
    {
      ...appendOf(0, { start: 4, end: 6 }),
      intervals: [{ start: 4, end: 6 }, { start: 5, end: 7 }],
    },
  ];
  for (const append of bad) await assert.rejects(it.journal.append(append), RangeError);
  await underWay;
  assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 0, end: 4 }));
});

Deno.test("Appends that wait are written together and share one fdatasync, in their order", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  await using it = await opened(folder, { storage });
  storage.syncCount = 0;
  const appends = [];
  for (let start = 0; start < 100; start++) {
    for (const number of [0, 1, 2]) {
      appends.push(it.journal.append(appendOf(number, { start, end: start + 1 })));
    }
  }
  await Promise.all(appends);
  assert.equal(storage.syncCount, 2, "one for the first, one for all that waited");
  const { records } = recordsInFolder(folder);
  for (const number of [0, 1, 2]) {
    const own = records.filter((name) => name.startsWith(`${number}:`));
    assert.deepEqual(own, namesOf(number, { start: 0, end: 100 }));
  }
});

Deno.test("Short writes are continued until all is written", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  await using it = await opened(folder, { storage });
  storage.onWrite = (bytes) => Math.ceil(bytes.length / 3);
  await it.journal.append(appendOf(0, { start: 0, end: 50 }));
  assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 0, end: 50 }));
});

Deno.test("A full disk holds appends back, says so once, and ends when there is room", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  const delaysMs: number[] = [];
  await using it = await opened(folder, { storage, clock: fastClock(delaysMs) });
  await it.journal.append(appendOf(0, { start: 0, end: 3 }));
  let attempts = 0;
  storage.onWrite = (bytes) => {
    if (++attempts > 12) return bytes.length;
    // A disk that fills up takes a part first.
    if (attempts % 2 === 1) return Math.floor(bytes.length / 2);
    throw diskFull();
  };
  let resolved = false;
  const appending = it.journal.append(appendOf(0, { start: 3, end: 6 }));
  appending.then(() => resolved = true);
  await until(() => it.told("stalled").length > 0);
  assert.equal(resolved, false);
  assert.match(it.journal.stallReason ?? "", /no space/i);
  assert.equal(it.journal.end(partition(0)), 3);
  await appending;
  assert.deepEqual(it.notices.map(({ kind }) => kind), ["created", "stalled", "recovered"]);
  assert.equal(it.told("stalled")[0]?.waitingLineCount, 3);
  assert.deepEqual(delaysMs, [250, 500, 1000, 2000, 4000, 5000]);
  assert.equal(it.journal.stallReason, undefined);
  assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 0, end: 6 }));
});

Deno.test("After a failed fdatasync the descriptor is not used again, and the bytes are written anew", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  await using it = await opened(folder, { storage, clock: fastClock() });
  const failed = new Set<number>();
  let written = 0;
  storage.onWrite = (bytes) => {
    written += bytes.length;
    return bytes.length;
  };
  storage.onSync = (descriptor) => {
    assert.ok(!failed.has(descriptor), "synced again after it had failed");
    if (failed.size === 3) return;
    failed.add(descriptor);
    throw new Error("Input/output error (os error 5)");
  };
  const append = appendOf(0, { start: 0, end: 4 });
  await it.journal.append(append);
  assert.equal(failed.size, 3);
  assert.equal(written, 4 * append.lines.length);
  assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 0, end: 4 }));
});

Deno.test("With writes and syncs failing at random each line is in the journal once", async () => {
  const seed = newSeed();
  const random = seededRandom(seed);
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  await using it = await opened(folder, { storage, clock: fastClock(), rotateBytes: 5_000 });
  storage.onWrite = (bytes) => {
    if (random() < 0.1) throw diskFull();
    return random() < 0.3 ? Math.ceil(random() * bytes.length) : bytes.length;
  };
  storage.onSync = () => {
    if (random() < 0.1) throw new Error("Input/output error (os error 5)");
  };
  const appendAll = async (number: number) => {
    for (let start = 0; start < 200;) {
      const end = Math.min(200, start + 1 + Math.floor(random() * 8));
      await it.journal.append(appendOf(number, { start, end }));
      start = end;
    }
  };
  await Promise.all([0, 1, 2].map(appendAll));
  assert.ok(it.told("recovered").length > 0, `seed ${seed}`);
  const { records, badLineCount } = recordsInFolder(folder);
  assert.equal(badLineCount, 0, `seed ${seed}`);
  for (const number of [0, 1, 2]) {
    const own = records.filter((name) => name.startsWith(`${number}:`));
    assert.deepEqual(own, namesOf(number, { start: 0, end: 200 }), `seed ${seed}`);
  }
});

Deno.test("Rotation closes a segment before it grows too large, and splits no line", async () => {
  using folder = new TestFolder();
  {
    await using it = await opened(folder, { rotateBytes: 1_000 });
    for (let start = 0; start < 30; start++) {
      await it.journal.append(appendOf(start % 2, { start, end: start + 1 }));
    }
    // Larger than a segment may be: alone in one.
    await it.journal.append(appendOf(2, { start: 0, end: 10 }));
    await it.journal.append(appendOf(2, { start: 10, end: 11 }));
    assert.deepEqual(
      it.told("rotated").map(({ path }) => path),
      folder.names("tracker.events.").map((name) => folder.file(name)),
    );
  }
  const names = folder.names("tracker.events");
  assert.deepEqual(names.slice(0, 3), [
    "tracker.events",
    "tracker.events.000001",
    "tracker.events.000002",
  ]);
  for (const name of names.slice(1, -1)) {
    assert.ok(Deno.statSync(folder.file(name)).size <= 1_000, name);
  }
  const { records, badLineCount } = recordsInFolder(folder);
  assert.equal(records.length, 41);
  assert.equal(badLineCount, 0);
  await using it = await opened(folder);
  assert.deepEqual(it.notices, []);
  assert.deepEqual(heldNames(it.journal, 3).sort(), [...records].sort());
});

Deno.test("Rotation overwrites no file that has taken its number", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder, { rotateBytes: 500 });
  await it.journal.append(appendOf(0, { start: 0, end: 2 }));
  Deno.writeTextFileSync(folder.file("tracker.events.000001"), "mine\n");
  await it.journal.append(appendOf(0, { start: 2, end: 4 }));
  assert.equal(Deno.readTextFileSync(folder.file("tracker.events.000001")), "mine\n");
  assert.deepEqual(it.told("rotated").map(({ number }) => number), [2]);
});

Deno.test("A rotation that fails halfway is finished, and done once", async () => {
  for (const failing of ["rename", "create", "syncDirectory"] as const) {
    using folder = new TestFolder();
    const storage = new FaultyStorage();
    await using it = await opened(folder, { storage, clock: fastClock(), rotateBytes: 500 });
    await it.journal.append(appendOf(0, { start: 0, end: 2 }));
    let failures = 3;
    const failSome = () => {
      if (failures-- > 0) throw diskFull();
    };
    const { open, rename, syncDirectory } = storage;
    if (failing === "rename") {
      storage.rename = (from, to) => (failSome(), rename(from, to));
    } else if (failing === "create") {
      storage.open = (
        path,
        mode,
      ) => (mode === "create" && failSome(), open.call(storage, path, mode));
    } else {
      storage.syncDirectory = (directory) => (failSome(), syncDirectory(directory));
    }
    await it.journal.append(appendOf(0, { start: 2, end: 4 }));
    assert.deepEqual(it.told("rotated").map(({ number }) => number), [1], failing);
    assert.equal(it.told("recovered").length, 1);
    assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 0, end: 4 }));
  }
});

Deno.test("A folder that was removed holds appends back until it is there again; then nothing old is held", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder, { clock: fastClock() });
  const { id } = it.journal;
  await it.journal.append(appendOf(0, { start: 0, end: 3 }));
  Deno.removeSync(folder.path, { recursive: true });
  const appending = assert.rejects(
    it.journal.append(appendOf(0, { start: 3, end: 5 })),
    JournalReopenedError,
  );
  await until(() => it.told("stalled").length > 0);
  assert.ok(it.told("stalled")[0]?.error instanceof Deno.errors.NotFound);
  assert.throws(() => Deno.statSync(folder.path), Deno.errors.NotFound);
  Deno.mkdirSync(folder.path);
  await appending;
  const [reopenedNotice] = it.told("reopened");
  assert.equal(reopenedNotice?.forgottenOffsetCount, 3);
  assert.equal(reopenedNotice?.newId, true);
  assert.notEqual(it.journal.id, id);
  assert.equal(it.journal.end(partition(0)), undefined);
  await it.journal.append(appendOf(0, { start: 3, end: 5 }));
  assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 3, end: 5 }));
});

Deno.test("A folder that was away and comes back with its files goes on where it was", async () => {
  using folder = new TestFolder();
  using elsewhere = new TestFolder();
  await using it = await opened(folder, { clock: fastClock() });
  const { id } = it.journal;
  await it.journal.append(appendOf(0, { start: 0, end: 3 }));
  Deno.renameSync(folder.path, elsewhere.file("away"));
  const appending = it.journal.append(appendOf(0, { start: 3, end: 5 })).catch((error) => error);
  await until(() => it.told("stalled").length > 0);
  Deno.renameSync(elsewhere.file("away"), folder.path);
  assert.ok(await appending instanceof JournalReopenedError);
  assert.equal(it.journal.id, id);
  assert.equal(it.told("reopened")[0]?.forgottenOffsetCount, 0);
  // The lines went into the file while it was away: they are held, and must not be appended again.
  assert.deepEqual(heldNames(it.journal, 1), recordsInFolder(folder).records);
});

Deno.test("A journal file that was moved, replaced or cut is read again before anything is held", async () => {
  const changes: Readonly<Record<string, (folder: TestFolder) => void>> = {
    moved: (folder) => Deno.renameSync(folder.active, folder.file("old")),
    closed: (folder) => Deno.renameSync(folder.active, folder.file("tracker.events.000001")),
    replaced: (folder) => {
      Deno.renameSync(folder.active, folder.file("old"));
      Deno.writeTextFileSync(folder.active, lineOf(partition(0), 77));
    },
    cut: (folder) => Deno.truncateSync(folder.active, 0),
    "written to": (folder) => Deno.writeTextFileSync(folder.active, "hello\n", { append: true }),
  };
  for (const [name, change] of Object.entries(changes)) {
    using folder = new TestFolder();
    await using it = await opened(folder, { clock: fastClock() });
    await it.journal.append(appendOf(0, { start: 0, end: 3 }));
    change(folder);
    await assert.rejects(
      it.journal.append(appendOf(0, { start: 3, end: 5 })),
      JournalReopenedError,
      name,
    );
    const isHeld = (offset: number) => it.journal.holds({ ...partition(0), offset });
    for (let offset = 3; offset < 9; offset++) {
      if (!isHeld(offset)) await it.journal.append(appendOf(0, { start: offset, end: offset + 1 }));
    }
    const { records } = recordsInFolder(folder);
    assert.deepEqual([...records].sort(), heldNames(it.journal, 1).sort(), name);
    assert.equal(new Set(records).size, records.length, name);
    assert.ok(namesOf(0, { start: 3, end: 9 }).every((name) => records.includes(name)), name);
  }
});

Deno.test("A checkpoint that cannot be written is reported once, and the journal goes on", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  await using it = await opened(folder, { storage });
  const { rename } = storage;
  storage.rename = () => Promise.reject(diskFull());
  for (let start = 0; start < 3; start++) {
    await it.journal.append(appendOf(0, { start, end: start + 1 }));
    await it.journal.checkpoint();
  }
  assert.equal(it.told("checkpoint failed").length, 1);
  storage.rename = rename;
});

Deno.test("A checkpoint is written every 5 seconds at most, and every 32 MB", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  let nowMs = 0;
  let checkpointCount = 0;
  const { rename } = storage;
  storage.rename = (from, to) => (checkpointCount++, rename(from, to));
  await using it = await opened(folder, { storage, clock: { ...fastClock(), now: () => nowMs } });
  assert.equal(checkpointCount, 1);
  for (let start = 0; start < 21; start++) {
    await it.journal.append(appendOf(0, { start, end: start + 1 }));
    await settled();
    nowMs += 1_000;
  }
  assert.equal(checkpointCount, 5);
  const append = appendOf(1, { start: 0, end: 1 }, "x".repeat(17_000_000));
  await it.journal.append(append);
  await it.journal.append({ ...appendOf(1, { start: 1, end: 2 }, "x".repeat(17_000_000)) });
  await settled();
  assert.equal(checkpointCount, 6);
});

Deno.test("Journal.close() writes what waits, and then nothing is taken", async () => {
  using folder = new TestFolder();
  const it = await opened(folder);
  const appends = [0, 1, 2].map((number) =>
    it.journal.append(appendOf(number, { start: 0, end: 5 }))
  );
  await Promise.all([it.journal.close(), it.journal.close(), ...appends]);
  assert.equal(recordsInFolder(folder).records.length, 15);
  await assert.rejects(
    it.journal.append(appendOf(0, { start: 5, end: 6 })),
    JournalClosedError,
  );
});

Deno.test("Journal.close() gives up after its time what cannot be written, and frees the folder", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  const it = await opened(folder, { storage });
  await it.journal.append(appendOf(0, { start: 0, end: 3 }));
  storage.onWrite = () => {
    throw diskFull();
  };
  const refused = [
    assert.rejects(it.journal.append(appendOf(0, { start: 3, end: 5 })), JournalClosedError),
    assert.rejects(it.journal.append(appendOf(1, { start: 0, end: 5 })), JournalClosedError),
  ];
  await it.journal.close({ timeoutMs: 50 });
  await Promise.all(refused);
  await using again = await opened(folder);
  assert.deepEqual(again.notices, []);
  assert.deepEqual(heldNames(again.journal, 2), namesOf(0, { start: 0, end: 3 }));
});

Deno.test("Journal.abandon() refuses what waits at once", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  await using it = await opened(folder, { storage });
  storage.onSync = () => {
    throw new Error("Input/output error (os error 5)");
  };
  const refused = assert.rejects(
    it.journal.append(appendOf(0, { start: 0, end: 5 })),
    JournalClosedError,
  );
  await until(() => it.told("stalled").length > 0);
  it.journal.abandon();
  await refused;
});

Deno.test("All files that hold customers' data have mode 0600", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder, { rotateBytes: 500 });
  for (let start = 0; start < 6; start++) {
    await it.journal.append(appendOf(0, { start, end: start + 1 }));
  }
  const names = folder.names("");
  assert.ok(names.length >= 5, names.join());
  for (const name of names) {
    assert.equal((Deno.statSync(folder.file(name)).mode ?? 0) & 0o777, 0o600, name);
  }
});

Deno.test("A second journal on the same folder is refused, and names the process that has it", async () => {
  using folder = new TestFolder();
  {
    await using _first = await opened(folder);
    await assert.rejects(opened(folder), (error) => {
      assert.ok(error instanceof JournalLockedError);
      assert.equal(error.holderPid, Deno.pid);
      assert.equal(error.path, folder.path);
      return true;
    });
  }
  await using _second = await opened(folder);
});

Deno.test("A folder that cannot be written is refused with what to do, and what it was", async () => {
  using folder = new TestFolder();
  Deno.writeTextFileSync(folder.file("a file"), "");
  await assert.rejects(
    openJournal({ directory: folder.file("a file"), onNotice: () => {} }),
    (error) => {
      assert.ok(error instanceof JournalUnwritableError);
      assert.match(error.message, /it is not a folder; name one with --logs$/);
      assert.equal(error.path, folder.file("a file"));
      assert.ok(error.cause instanceof Error);
      return true;
    },
  );
});

Deno.test("A folder that does not exist is made", async () => {
  using folder = new TestFolder();
  await using it = await opened({ path: folder.file("a/b") });
  assert.equal(it.told("created").length, 1);
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `waited 10 s for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Long enough for a checkpoint that nobody awaits. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 20));
}
