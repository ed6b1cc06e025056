import assert from "node:assert/strict";
import { decodeCheckpoint } from "../../lib/journal/checkpoint.ts";
import { JournalLockedError } from "../../lib/journal/folder_lock.ts";
import { JournalClosedError, JournalReopenedError } from "../../lib/journal/append_queue.ts";
import { openJournal } from "../../lib/journal/open_journal.ts";
import type { JournalPartition } from "../../lib/journal/intervals.ts";
import { checkManifests } from "../../lib/journal/manifest_check.ts";
import { JournalUnwritableError } from "../../lib/journal/unwritable.ts";
import {
  appendOf,
  diskFull,
  encodedLines,
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
  until,
} from "./fixture.ts";

Deno.test("Journal.append() resolves once the lines are in the file and held", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder);
  assert.equal(it.noticesOf("created").length, 1);
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

Deno.test("Journal.append() holds exactly the given intervals, including offsets without a record", async () => {
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

Deno.test("Journal.append() refuses lines and offsets that would corrupt the journal", async () => {
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
    { ...other, lineEnds: [ends[0] ?? 0, ...ends] },
    { ...other, lineEnds: [...ends, ...ends] },
    { ...other, lines: other.lines.subarray(0, -1) },
    { ...other, lines: other.lines.subarray(0, -1), lineEnds: ends.slice(0, 1) },
    { ...other, lines: other.lines.map((byte) => byte === 0x0a ? 0x20 : byte) },
    { ...appendOf(0, { start: 4, end: 6 }), intervals: [{ start: 6, end: 4 }] },
    { ...appendOf(0, { start: 4, end: 6 }), intervals: [{ start: 4, end: 4 }] },
    { ...appendOf(0, { start: 4, end: 6 }), intervals: [{ start: -1, end: 0 }] },
    { ...appendOf(0, { start: 4, end: 6 }), intervals: [{ start: 4.5, end: 6 }] },
    {
      ...appendOf(0, { start: 4, end: 6 }),
      intervals: [{ start: 4, end: 6 }, { start: 5, end: 7 }],
    },
  ];
  for (const append of bad) await assert.rejects(it.journal.append(append), RangeError);
  await underWay;
  assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 0, end: 4 }));
});

Deno.test("Journal.append() accepts the same offsets of another partition, topic, or topic id concurrently", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder);
  const partitions = [
    partition(0),
    partition(1),
    { ...partition(0), topicId: "another id" },
    { topic: "orders", topicId: "", partition: 0 },
    { topic: "payments", topicId: "", partition: 0 },
  ];
  const append = (one: JournalPartition) =>
    it.journal.append({
      ...one,
      epochs: [],
      intervals: [{ start: 0, end: 1 }],
      ...encodedLines([lineOf(one, 0)]),
    });
  // The first one is being written, and the others wait.
  await Promise.all(partitions.map(append));
  for (const one of partitions) {
    assert.deepEqual(it.journal.heldIntervals(one), [{ start: 0, end: 1 }]);
    await assert.rejects(append(one), RangeError);
  }
});

Deno.test("waiting appends are written together in order, and share one fdatasync", async () => {
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
  assert.equal(storage.syncCount, 2, "one for the first, and one for all that waited");
  const { records } = recordsInFolder(folder);
  for (const number of [0, 1, 2]) {
    const own = records.filter((name) => name.startsWith(`${number}:`));
    assert.deepEqual(own, namesOf(number, { start: 0, end: 100 }));
  }
});

Deno.test("appends of any size, alone or together, are written byte for byte in order", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  const written: number[] = [];
  storage.onWrite = (bytes) => {
    written.push(bytes.length);
    return bytes.length;
  };
  await using it = await opened(folder, { storage });
  const sizes = [10, 100_000, 10, 200_000, 10, 10, 300_000, 10];
  const appends = sizes.map((size, start) =>
    appendOf(0, { start, end: start + 1 }, "x".repeat(size))
  );
  await Promise.all(appends.slice(0, 3).map((append) => it.journal.append(append)));
  assert.equal(written.length, 2, "the first, and in one write the two that waited");
  await Promise.all(appends.slice(3).map((append) => it.journal.append(append)));
  assert.equal(written.length, 2 + 1 + 4, "large appends are not copied");
  const expected = appends.map(({ lines }) => new TextDecoder().decode(lines)).join("");
  assert.equal(Deno.readTextFileSync(folder.active), expected);
});

Deno.test("short writes are continued until everything is written", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  await using it = await opened(folder, { storage });
  storage.onWrite = (bytes) => Math.ceil(bytes.length / 3);
  await it.journal.append(appendOf(0, { start: 0, end: 50 }));
  assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 0, end: 50 }));
});

Deno.test("a full disk delays appends, is reported once, and work continues once there is space", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  const delaysMs: number[] = [];
  await using it = await opened(folder, { storage, clock: fastClock(delaysMs) });
  await it.journal.append(appendOf(0, { start: 0, end: 3 }));
  let attempts = 0;
  storage.onWrite = (bytes) => {
    if (++attempts > 12) return bytes.length;
    // A disk that fills up accepts a part first.
    if (attempts % 2 === 1) return Math.floor(bytes.length / 2);
    throw diskFull();
  };
  let resolved = false;
  const appending = it.journal.append(appendOf(0, { start: 3, end: 6 }));
  appending.then(() => resolved = true);
  await until(() => it.noticesOf("stalled").length > 0);
  assert.equal(resolved, false);
  assert.match(it.journal.stallReason ?? "", /^no space/i);
  assert.equal(it.journal.end(partition(0)), 3);
  await appending;
  assert.deepEqual(it.notices.map(({ kind }) => kind), ["created", "stalled", "recovered"]);
  assert.equal(it.noticesOf("stalled")[0]?.waitingLineCount, 3);
  assert.deepEqual(delaysMs, [250, 500, 1000, 2000, 4000, 5000]);
  assert.equal(it.journal.stallReason, undefined);
  assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 0, end: 6 }));
});

Deno.test("a stall is reported again when its reason changes, and its duration counts from the first reason", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  let nowMs = 0;
  const clock = { ...fastClock(), now: () => nowMs };
  await using it = await opened(folder, { storage, clock });
  const errors = ["one", "one", "another", "another", "one"];
  storage.onWrite = (bytes) => {
    nowMs += 100;
    const error = errors.shift();
    if (error !== undefined) throw new Error(error);
    return bytes.length;
  };
  const reasons: (string | undefined)[] = [];
  const { beforeSync } = storage;
  storage.beforeSync = () => (reasons.push(it.journal.stallReason), beforeSync());
  await it.journal.append(appendOf(0, { start: 0, end: 1 }));
  assert.deepEqual(
    it.noticesOf("stalled").map(({ error }) => String(error)),
    ["Error: one", "Error: another", "Error: one"],
  );
  assert.deepEqual(reasons, ["one"]);
  assert.deepEqual(it.noticesOf("recovered").map(({ stalledMs }) => stalledMs), [500]);
  // The next failure is a new stall.
  errors.push("one");
  await it.journal.append(appendOf(0, { start: 1, end: 2 }));
  assert.equal(it.noticesOf("stalled").length, 4);
  assert.deepEqual(it.noticesOf("recovered").map(({ stalledMs }) => stalledMs), [500, 100]);
});

Deno.test("a listener that throws does not count as a disk failure, and its error is reported", async () => {
  using folder = new TestFolder();
  const errors: unknown[] = [];
  const note = (event: ErrorEvent) => {
    event.preventDefault();
    errors.push(event.error);
  };
  globalThis.addEventListener("error", note);
  try {
    const journal = await openJournal({
      directory: folder.path,
      rotateBytes: 500,
      onNotice: ({ kind }) => {
        throw new Error(`cannot report ${kind}`);
      },
    });
    for (let start = 0; start < 3; start++) {
      await journal.append(appendOf(0, { start, end: start + 1 }));
    }
    await journal.close();
  } finally {
    globalThis.removeEventListener("error", note);
  }
  const messages = errors.map(String);
  assert.ok(messages.includes("Error: cannot report created"), messages.join());
  assert.ok(messages.includes("Error: cannot report rotated"), messages.join());
  assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 0, end: 3 }));
});

Deno.test("after a failed fdatasync the descriptor is not reused, and the bytes are written again", async () => {
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
    assert.ok(!failed.has(descriptor), "synced again after a failure");
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

Deno.test("with random write and sync failures, each line is in the journal once", async () => {
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
  assert.ok(it.noticesOf("recovered").length > 0, `seed ${seed}`);
  const { records, badLineCount } = recordsInFolder(folder);
  assert.equal(badLineCount, 0, `seed ${seed}`);
  for (const number of [0, 1, 2]) {
    const own = records.filter((name) => name.startsWith(`${number}:`));
    assert.deepEqual(own, namesOf(number, { start: 0, end: 200 }), `seed ${seed}`);
  }
});

Deno.test("rotation closes a segment before it exceeds its size, and splits no line", async () => {
  using folder = new TestFolder();
  {
    await using it = await opened(folder, { rotateBytes: 1_000 });
    for (let start = 0; start < 30; start++) {
      await it.journal.append(appendOf(start % 2, { start, end: start + 1 }));
    }
    // Larger than a segment may be, so it gets its own.
    await it.journal.append(appendOf(2, { start: 0, end: 10 }));
    await it.journal.append(appendOf(2, { start: 10, end: 11 }));
    assert.deepEqual(
      it.noticesOf("rotated").map(({ path }) => path),
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

Deno.test("waiting appends that are written together fill a segment to its size but not beyond", async () => {
  const lineBytes = lineOf(partition(0), 10).length;
  for (const rotateBytes of [3 * lineBytes, 4 * lineBytes - 1]) {
    using folder = new TestFolder();
    await using it = await opened(folder, { rotateBytes });
    await Promise.all(
      Array.from({ length: 30 }, (_, index) => {
        const start = 10 + index;
        return it.journal.append(appendOf(0, { start, end: start + 1 }));
      }),
    );
    // The first append is alone in its group, and each other group fills a segment.
    const sizes = folder.names("tracker.events.").map((name) =>
      Deno.statSync(folder.file(name)).size / lineBytes
    );
    assert.deepEqual(sizes, [1, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
    await it.journal.append(appendOf(0, { start: 40, end: 41 }));
    assert.equal(Deno.statSync(folder.active).size, 3 * lineBytes);
    assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 10, end: 41 }));
  }
});

Deno.test("rotation does not overwrite a file that already has the next number", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder, { rotateBytes: 600 });
  await it.journal.append(appendOf(0, { start: 0, end: 2 }));
  Deno.writeTextFileSync(folder.file("tracker.events.000001"), "mine\n");
  await it.journal.append(appendOf(0, { start: 2, end: 4 }));
  assert.equal(Deno.readTextFileSync(folder.file("tracker.events.000001")), "mine\n");
  assert.deepEqual(it.noticesOf("rotated").map(({ number }) => number), [2]);
});

Deno.test("a rotation that fails halfway is finished, and performed once", async () => {
  for (const failing of ["rename", "create", "syncDirectory"] as const) {
    using folder = new TestFolder();
    const storage = new FaultyStorage();
    await using it = await opened(folder, { storage, clock: fastClock(), rotateBytes: 600 });
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
    assert.deepEqual(it.noticesOf("rotated").map(({ number }) => number), [1], failing);
    assert.equal(it.noticesOf("recovered").length, 1);
    assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 0, end: 4 }));
  }
});

Deno.test("a removed folder delays appends until it is back; then no old offset is held", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder, { clock: fastClock() });
  const { id } = it.journal;
  await it.journal.append(appendOf(0, { start: 0, end: 3 }));
  Deno.removeSync(folder.path, { recursive: true });
  const appending = assert.rejects(
    it.journal.append(appendOf(0, { start: 3, end: 5 })),
    JournalReopenedError,
  );
  await until(() => it.noticesOf("stalled").length > 0);
  assert.ok(it.noticesOf("stalled")[0]?.error instanceof Deno.errors.NotFound);
  assert.throws(() => Deno.statSync(folder.path), Deno.errors.NotFound);
  Deno.mkdirSync(folder.path);
  await appending;
  const [reopenedNotice] = it.noticesOf("reopened");
  assert.equal(reopenedNotice?.forgottenOffsetCount, 3);
  assert.equal(reopenedNotice?.newId, true);
  assert.notEqual(it.journal.id, id);
  assert.equal(it.journal.end(partition(0)), undefined);
  await it.journal.append(appendOf(0, { start: 3, end: 5 }));
  assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 3, end: 5 }));
});

Deno.test("a folder that disappears and returns with its files is continued", async () => {
  using folder = new TestFolder();
  using elsewhere = new TestFolder();
  await using it = await opened(folder, { clock: fastClock() });
  const { id } = it.journal;
  await it.journal.append(appendOf(0, { start: 0, end: 3 }));
  Deno.renameSync(folder.path, elsewhere.file("away"));
  const appending = it.journal.append(appendOf(0, { start: 3, end: 5 })).catch((error) => error);
  await until(() => it.noticesOf("stalled").length > 0);
  Deno.renameSync(elsewhere.file("away"), folder.path);
  assert.ok(await appending instanceof JournalReopenedError);
  assert.equal(it.journal.id, id);
  assert.equal(it.noticesOf("reopened")[0]?.forgottenOffsetCount, 0);
  // The lines were written while the folder was away: they are held, and must not be appended again.
  assert.deepEqual(heldNames(it.journal, 1), recordsInFolder(folder).records);
});

Deno.test("a journal file that was moved, replaced, or cut is reread before anything is held", async () => {
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

Deno.test("a journal file that is cut, removed, or replaced while its disk is full is reread", async () => {
  const changes: Readonly<Record<string, (folder: TestFolder) => void>> = {
    cut: (folder) => Deno.truncateSync(folder.active, 0),
    "cut by a byte": (folder) =>
      Deno.truncateSync(folder.active, Deno.statSync(folder.active).size - 1),
    removed: (folder) => Deno.removeSync(folder.active),
    replaced: (folder) => {
      const bytes = Deno.readFileSync(folder.active);
      Deno.removeSync(folder.active);
      // Some file systems give a new file the inode that was freed last.
      Deno.writeTextFileSync(folder.file("other"), "");
      Deno.writeFileSync(folder.active, bytes);
    },
  };
  for (const [name, change] of Object.entries(changes)) {
    using folder = new TestFolder();
    const storage = new FaultyStorage();
    await using it = await opened(folder, { storage, clock: fastClock() });
    await it.journal.append(appendOf(0, { start: 0, end: 3 }));
    let isFull = true;
    storage.onWrite = (bytes) => {
      if (isFull) throw diskFull();
      return bytes.length;
    };
    const refused = assert.rejects(
      it.journal.append(appendOf(0, { start: 3, end: 4 })),
      JournalReopenedError,
      name,
    );
    await until(() => it.noticesOf("stalled").length > 0);
    change(folder);
    isFull = false;
    await refused;
    assert.equal(it.journal.stallReason, undefined);
    assert.equal(it.noticesOf("recovered").length, 1);
    const { records, badLineCount } = recordsInFolder(folder);
    assert.equal(badLineCount, 0, name);
    assert.deepEqual(heldNames(it.journal, 1), records, name);
  }
});

Deno.test("when the files are reread, waiting appends are refused, and the journal continues as if just opened", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  const options = { storage, clock: fastClock(), rotateBytes: 700 };
  let id: string;
  {
    await using it = await opened(folder, options);
    // The second segment is the active one.
    for (let start = 0; start < 3; start++) {
      await it.journal.append(appendOf(0, { start, end: start + 1 }));
    }
    Deno.writeTextFileSync(folder.active, lineOf(partition(0), 3), { append: true });
    const appends = [
      appendOf(0, { start: 10, end: 11 }),
      appendOf(1, { start: 0, end: 1 }),
      appendOf(2, { start: 0, end: 1 }),
    ];
    const outcomes = await Promise.allSettled(appends.map((append) => it.journal.append(append)));
    for (const [index, outcome] of outcomes.entries()) {
      assert.equal(outcome.status, "rejected");
      const reason: unknown = outcome.status === "rejected" && outcome.reason;
      assert.ok(reason instanceof JournalReopenedError, `append ${index}: ${reason}`);
    }
    await until(() => storage.openCount === 2); // the lock and the active file
    const [reopened] = it.noticesOf("reopened");
    assert.match(reopened?.reason ?? "", /another program writes to it/);
    id = it.journal.id;
    assert.equal(reopened?.journalId, id);
    assert.equal(it.noticesOf("reopened").length, 1);
    assert.deepEqual(heldNames(it.journal, 3).sort(), [...recordsInFolder(folder).records].sort());
    assert.ok(
      it.journal.holds({ ...partition(0), offset: 3 }),
      "lines appended by another process are held",
    );
    // Segments continue to be closed and sealed, including the reread lines.
    for (let start = 1; start < 8; start++) {
      await it.journal.append(appendOf(1, { start, end: start + 1 }));
    }
  }
  assert.equal(storage.openCount, 0);
  const { segments } = await checkManifests(folder.path);
  assert.deepEqual(segments.filter(({ ok, state }) => !ok || state !== "plain"), []);
  assert.ok(segments.length > 3);
  await using it = await opened(folder);
  assert.deepEqual(it.notices, [], "the checkpoint matches the files");
  assert.equal(it.journal.id, id);
  assert.deepEqual(heldNames(it.journal, 3).sort(), [...recordsInFolder(folder).records].sort());
});

Deno.test("the files are reread only after work on checkpoints and segments has ended", async () => {
  for (const work of ["tracker.checkpoint", "tracker.archive"]) {
    using folder = new TestFolder();
    const storage = new FaultyStorage();
    const options = { storage, clock: fastClock(), rotateBytes: 700, compress: true };
    await using it = await opened(folder, options);
    await it.journal.checkpoint();
    let release = () => {};
    let isHeldUp = false;
    const { rename } = storage;
    storage.rename = async (from, to) => {
      if (to.includes(work)) {
        storage.rename = rename;
        isHeldUp = true;
        await new Promise<void>((resolve) => release = resolve);
      }
      await rename(from, to);
    };
    for (let start = 0; start < 3; start++) {
      await it.journal.append(appendOf(0, { start, end: start + 1 }));
    }
    await until(() => isHeldUp);
    let isReading = false;
    const { list } = storage;
    Deno.writeTextFileSync(folder.active, "hello\n", { append: true });
    const refused = assert.rejects(
      it.journal.append(appendOf(0, { start: 3, end: 4 })),
      JournalReopenedError,
    );
    // Rereading begins by listing the folder, which an append does not do.
    storage.list = (directory) => (isReading = true, list(directory));
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
    assert.equal(isReading, false, work);
    release();
    await refused;
    assert.equal(isReading, true);
  }
});

Deno.test("a closed segment that was gone when the files were reread is not reported at the next start", async () => {
  using folder = new TestFolder();
  {
    await using it = await opened(folder, { clock: fastClock(), rotateBytes: 700 });
    for (let start = 0; start < 5; start++) {
      await it.journal.append(appendOf(0, { start, end: start + 1 }));
    }
    await until(() => folder.names("tracker.manifest.").length === 2);
    for (
      const name of [
        ...folder.names("tracker.events.000001"),
        ...folder.names("tracker.manifest.000001"),
      ]
    ) {
      Deno.removeSync(folder.file(name));
    }
    Deno.writeTextFileSync(folder.active, lineOf(partition(0), 77), { append: true });
    await assert.rejects(
      it.journal.append(appendOf(0, { start: 5, end: 6 })),
      JournalReopenedError,
    );
    assert.equal(it.noticesOf("reopened")[0]?.forgottenOffsetCount, 2);
  }
  await using it = await opened(folder);
  assert.deepEqual(it.notices, []);
  assert.deepEqual(heldNames(it.journal, 1).sort(), [...recordsInFolder(folder).records].sort());
});

Deno.test("a replaced folder is locked again, so that a second journal on it is refused", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  await using it = await opened(folder, { storage, clock: fastClock() });
  await it.journal.append(appendOf(0, { start: 0, end: 3 }));
  Deno.removeSync(folder.path, { recursive: true });
  const refused = assert.rejects(
    it.journal.append(appendOf(0, { start: 3, end: 4 })),
    JournalReopenedError,
  );
  await until(() => it.noticesOf("stalled").length > 0);
  Deno.mkdirSync(folder.path);
  await refused;
  await assert.rejects(opened(folder), JournalLockedError);
  // Its new id is written as soon as possible.
  await until(() =>
    folder.names("tracker.checkpoint").includes("tracker.checkpoint") &&
    decodeCheckpoint(Deno.readTextFileSync(folder.checkpoint)).journalId === it.journal.id
  );
  // The lock and the active file, once the checkpoint is written.
  await until(() => storage.openCount === 2);
});

Deno.test("an unwritable checkpoint is reported once until it can be written, and the journal continues", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  await using it = await opened(folder, { storage });
  const { rename } = storage;
  let offset = 0;
  const appendAndCheckpoint = async (times: number) => {
    for (let time = 0; time < times; time++, offset++) {
      await it.journal.append(appendOf(0, { start: offset, end: offset + 1 }));
      await it.journal.checkpoint();
    }
  };
  for (const failures of [1, 2]) {
    storage.rename = () => Promise.reject(diskFull());
    await appendAndCheckpoint(3);
    assert.equal(it.noticesOf("checkpoint failed").length, failures);
    storage.rename = rename;
    await appendAndCheckpoint(1);
  }
});

Deno.test("a checkpoint is written when a segment is closed, so that a restart need not read the segment", async () => {
  using folder = new TestFolder();
  const clock = { ...fastClock(), now: () => 0 };
  await using it = await opened(folder, { clock, rotateBytes: 700 });
  const checkpoint = () => decodeCheckpoint(Deno.readTextFileSync(folder.checkpoint));
  for (let start = 0; start < 3; start++) {
    assert.equal(checkpoint().segment, 1);
    await it.journal.append(appendOf(0, { start, end: start + 1 }));
  }
  await until(() => checkpoint().segment === 2);
  assert.deepEqual(checkpoint().closed, [
    { number: 1, bytes: Deno.statSync(folder.file("tracker.events.000001")).size },
  ]);
});

Deno.test("Journal.close() writes a complete checkpoint, even while an older one is being written", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  let release = () => {};
  const it = await opened(folder, { storage });
  const { rename } = storage;
  storage.rename = async (from, to) => {
    storage.rename = rename;
    await new Promise<void>((resolve) => release = resolve);
    await rename(from, to);
  };
  await it.journal.append(appendOf(0, { start: 0, end: 1 }));
  const older = it.journal.checkpoint();
  assert.equal(
    it.journal.checkpoint(),
    older,
    "one at a time, because they would write to the same file",
  );
  await it.journal.append(appendOf(0, { start: 1, end: 2 }));
  const closing = it.journal.close();
  await until(() => storage.rename === rename);
  release();
  await Promise.all([older, closing]);
  const { position } = decodeCheckpoint(Deno.readTextFileSync(folder.checkpoint));
  assert.equal(position, Deno.statSync(folder.active).size);
});

Deno.test("a checkpoint is written at most every 5 seconds, and every 32 MB", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  let nowMs = 0;
  let checkpointCount = 0;
  const { syncDirectory } = storage;
  const it = await opened(folder, { storage, clock: { ...fastClock(), now: () => nowMs } });
  storage.syncDirectory = async (directory) => {
    await syncDirectory(directory);
    checkpointCount++;
  };
  for (let start = 0; start < 21; start++) {
    await it.journal.append(appendOf(0, { start, end: start + 1 }));
    await until(() => checkpointCount === Math.floor(start / 5));
    nowMs += 1_000;
  }
  const text = "x".repeat(17_000_000);
  await it.journal.append(appendOf(1, { start: 0, end: 1 }, text));
  assert.equal(checkpointCount, 4);
  await it.journal.append(appendOf(1, { start: 1, end: 2 }, text));
  await until(() => checkpointCount === 5);
  await it.journal.append(appendOf(1, { start: 2, end: 3 }));
  await it.journal.close();
  assert.equal(checkpointCount, 6, "one more on close");
});

Deno.test("Journal.close() writes waiting appends, and then accepts none", async () => {
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

Deno.test("Journal.close() gives up on unwritable appends after its timeout, and releases the folder", async () => {
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
  // On an unwritable disk a checkpoint is not even attempted.
  storage.rename = () => Promise.reject(diskFull());
  await it.journal.close({ timeoutMs: 50 });
  await Promise.all(refused);
  assert.deepEqual(it.noticesOf("checkpoint failed"), []);
  await using again = await opened(folder);
  assert.deepEqual(again.notices, []);
  assert.deepEqual(heldNames(again.journal, 2), namesOf(0, { start: 0, end: 3 }));
});

Deno.test("Journal.close() leaves a segment that is still being read after its timeout to the next start", async () => {
  using folder = new TestFolder();
  {
    await using it = await opened(folder, { rotateBytes: 700 });
    for (let start = 0; start < 6; start++) {
      await it.journal.append(appendOf(0, { start, end: start + 1 }));
    }
  }
  for (const name of folder.names("tracker.manifest.")) Deno.removeSync(folder.file(name));
  const storage = new FaultyStorage();
  const { open } = storage;
  storage.open = async (path, mode) => {
    const file = await open.call(storage, path, mode);
    if (!path.includes("tracker.events.0")) return file;
    // A disk so slow that the end is never reached.
    file.read = (into) =>
      new Promise((resolve) => setTimeout(() => resolve(into.fill(32, 0, 1) && 1), 1));
    return file;
  };
  const it = await opened(folder, { storage });
  await it.journal.close({ timeoutMs: 50 });
  assert.deepEqual(it.noticesOf("sealed"), []);
  assert.deepEqual(it.noticesOf("upkeep failed"), []);
  assert.equal(storage.openCount, 0);
  await using again = await opened(folder);
  await again.journal.close();
  assert.equal(again.noticesOf("sealed").length, folder.names("tracker.events.").length);
});

Deno.test("Journal.abandon() refuses waiting appends at once", async () => {
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
  await until(() => it.noticesOf("stalled").length > 0);
  it.journal.abandon();
  await refused;
  await assert.rejects(
    it.journal.append(appendOf(0, { start: 5, end: 6 })),
    JournalClosedError,
    "later appends too",
  );
});

Deno.test("all files that contain customer data have mode 0600", async () => {
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

Deno.test("a second journal on the same folder is refused, and names the process that holds it", async () => {
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

Deno.test("an unwritable folder is refused with the reason and what to do", async () => {
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

Deno.test("openJournal() refuses invalid sizes and ages, and creates no file", async () => {
  using folder = new TestFolder();
  for (const rotateBytes of [0, -1, 0.5, NaN, Infinity]) {
    await assert.rejects(opened(folder, { rotateBytes }), RangeError, `${rotateBytes} bytes`);
  }
  for (const keepMs of [0, -1, NaN]) {
    await assert.rejects(opened(folder, { keepMs }), RangeError, `${keepMs} ms`);
  }
  assert.deepEqual(folder.names(""), []);
});

Deno.test("a journal that cannot be opened releases its folder, and leaves no file or signal listener behind", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  const listeners = countSignalListeners();
  try {
    const { list } = storage;
    storage.list = () => Promise.reject(new Error("an I/O error"));
    await assert.rejects(opened(folder, { storage }), JournalUnwritableError);
    assert.equal(storage.openCount, 0);
    assert.equal(listeners.count, 0);
    storage.list = list;
    {
      await using it = await opened(folder, { storage, rotateBytes: 500, compress: true });
      await it.journal.append(appendOf(0, { start: 0, end: 2 }));
      await it.journal.append(appendOf(0, { start: 2, end: 4 }));
      assert.equal(listeners.count, 1);
    }
    assert.equal(storage.openCount, 0);
    assert.equal(listeners.count, 0);
  } finally {
    listeners.restore();
  }
});

/** Counts signal listeners by replacing the real functions. */
function countSignalListeners() {
  const { addSignalListener, removeSignalListener } = Deno;
  const counter = {
    count: 0,
    restore: () => Object.assign(Deno, { addSignalListener, removeSignalListener }),
  };
  Object.assign(Deno, {
    addSignalListener: (...args: Parameters<typeof addSignalListener>) => {
      counter.count++;
      addSignalListener(...args);
    },
    removeSignalListener: (...args: Parameters<typeof removeSignalListener>) => {
      counter.count--;
      removeSignalListener(...args);
    },
  });
  return counter;
}

Deno.test("a missing folder is created", async () => {
  using folder = new TestFolder();
  await using it = await opened({ path: folder.file("a/b") });
  assert.equal(it.noticesOf("created").length, 1);
});
