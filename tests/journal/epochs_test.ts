/** Tests leader epochs in the journal: which records of a truncated log are held, and what a restart recovers. */

import assert from "node:assert/strict";
import { JournalClosedError, JournalReopenedError } from "../../lib/journal/append_queue.ts";
import type { Journal } from "../../lib/journal/journal.ts";
import type { JournalOptions } from "../../lib/journal/open_journal.ts";
import { checkManifests } from "../../lib/journal/manifest_check.ts";
import { denoStorage, type Storage, writeAll } from "../../lib/journal/storage.ts";
import {
  appendOf,
  diskFull,
  encodedLines,
  fastClock,
  FaultyStorage,
  opened,
  partition,
  TestFolder,
} from "./fixture.ts";
import { PowerLossDisk } from "./power_loss_disk.ts";
import { appendInEpoch, epochRecordsIn, heldText, lineInEpoch } from "./truncated_log.ts";

type Options = Partial<Pick<JournalOptions, "rotateBytes" | "compress" | "keepMs">>;

/** About 15 lines of `lineInEpoch`. */
const ROTATE = { rotateBytes: 4_500 };

/** Appends offset by offset in one epoch, so that segments are closed in between. */
async function appendEach(
  journal: Journal,
  { start, end }: { readonly start: number; readonly end: number },
  epoch: number,
): Promise<void> {
  for (let offset = start; offset < end; offset++) {
    await journal.append(appendInEpoch(0, { start: offset, end: offset + 1 }, epoch));
  }
}

function crashed(folder: TestFolder): TestFolder {
  const copy = new TestFolder();
  copy.copyFrom(folder);
  return copy;
}

/** Returns what a restart finds to be held. */
async function heldAfterRestart(
  folder: TestFolder,
  { without = [], options = {} }: {
    readonly without?: readonly string[];
    readonly options?: Options;
  } = {},
): Promise<string> {
  using copy = crashed(folder);
  for (const name of without.flatMap((start) => copy.names(start))) {
    Deno.removeSync(copy.file(name));
  }
  await using it = await opened(copy, options);
  assert.deepEqual(it.noticesOf("repeated lines"), []);
  return heldText(it.journal);
}

Deno.test("the journal keeps its records' epochs across a restart, with and without a checkpoint", async () => {
  using folder = new TestFolder();
  {
    await using it = await opened(folder);
    await it.journal.append(appendOf(0, { start: 0, end: 3 }));
    await it.journal.append(appendInEpoch(0, { start: 3, end: 5 }, 4));
    await it.journal.append({
      ...partition(0),
      intervals: [{ start: 5, end: 8 }],
      epochs: [{ epoch: 4, start: 5 }, { epoch: 6, start: 6 }],
      ...encodedLines(
        ([[5, 4], [6, 6], [7, 6]] as const).map((record) => lineInEpoch(0, record)),
      ),
    });
    assert.equal(heldText(it.journal), "0-2:e? 3-5:e4 6-7:e6");
    assert.deepEqual(it.journal.heldEpochs(partition(0)), [
      { epoch: 4, start: 3 },
      { epoch: 6, start: 6 },
    ]);
    assert.equal(it.journal.lastEpoch(partition(0)), 6);
    assert.equal(it.journal.lastEpoch(partition(1)), undefined);
  }
  for (const without of [[], ["tracker.checkpoint"]]) {
    assert.equal(await heldAfterRestart(folder, { without }), "0-2:e? 3-5:e4 6-7:e6");
  }
});

Deno.test("an append's first epoch applies from its first offset on, and epochs out of order are refused", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder);
  const append = appendInEpoch(0, { start: 0, end: 4 }, 1);
  const epochs = [{ epoch: 1, start: 2 }, { epoch: 2, start: 2 }];
  await assert.rejects(it.journal.append({ ...append, epochs }), RangeError);
  await it.journal.append({ ...append, epochs: [{ epoch: 1, start: 2 }] });
  assert.equal(heldText(it.journal), "0-3:e1");
});

const TRUNCATIONS = [
  { title: "to offset 0", at: 0, left: "" },
  { title: "inside a held interval and epoch", at: 13, left: "0-9:e1 10-12:e2" },
  { title: "where an epoch begins", at: 10, left: "0-9:e1" },
  { title: "in a gap", at: 25, left: "0-9:e1 10-19:e2" },
  { title: "past all held offsets", at: 40, left: "0-9:e1 10-19:e2 30-39:e2" },
];

for (const { title, at, left } of TRUNCATIONS) {
  Deno.test(`Journal.truncate() ${title}: the same offsets are appended again, and a restart remembers the truncation`, async () => {
    using folder = new TestFolder();
    await using it = await opened(folder);
    await it.journal.append(appendInEpoch(0, { start: 0, end: 10 }, 1));
    await it.journal.append(appendInEpoch(0, { start: 10, end: 20 }, 2));
    await it.journal.append(appendInEpoch(0, { start: 30, end: 40 }, 2));
    using before = crashed(folder);
    await it.journal.truncate(partition(0), at);
    assert.equal(heldText(it.journal), left);
    await it.journal.truncate(partition(0), at);
    assert.equal(heldText(it.journal), left, "truncated a second time");
    // A crash before anything is appended: the truncation is in the checkpoint, but cannot be in the lines.
    assert.equal(await heldAfterRestart(folder), left);
    assert.equal(
      await heldAfterRestart(folder, { without: ["tracker.checkpoint"] }),
      "0-9:e1 10-19:e2 30-39:e2",
    );

    await it.journal.append(appendInEpoch(0, { start: at, end: at + 5 }, 3));
    const held = `${left} ${at}-${at + 4}:e3`.trim();
    assert.equal(heldText(it.journal), held);
    assert.equal(await heldAfterRestart(folder), held);
    assert.equal(await heldAfterRestart(folder, { without: ["tracker.checkpoint"] }), held);
    // A checkpoint from before the truncation.
    Deno.copyFileSync(before.checkpoint, folder.checkpoint);
    assert.equal(await heldAfterRestart(folder), held);
  });
}

Deno.test("a log that is truncated repeatedly is held in its final state, even within rewritten parts", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder);
  await it.journal.append(appendInEpoch(0, { start: 0, end: 20 }, 1));
  for (const [epoch, at] of [[2, 10], [3, 15], [4, 12], [5, 3], [6, 7]] as const) {
    await it.journal.truncate(partition(0), at);
    await it.journal.append(appendInEpoch(0, { start: at, end: at + 8 }, epoch));
  }
  for (const without of [[], ["tracker.checkpoint"]]) {
    assert.equal(await heldAfterRestart(folder, { without }), "0-2:e1 3-6:e5 7-14:e6");
  }
});

Deno.test("if the first new record lies above the truncation, a journal without a checkpoint keeps the records in between", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder);
  await it.journal.append(appendInEpoch(0, { start: 0, end: 20 }, 1));
  await it.journal.truncate(partition(0), 5);
  // Offsets 5 to 9 are of aborted records; 10 and 11 are held without a line below them.
  await it.journal.append({
    ...appendInEpoch(0, { start: 12, end: 15 }, 2),
    intervals: [{ start: 10, end: 15 }],
  });
  await it.journal.checkpoint();
  assert.equal(await heldAfterRestart(folder), "0-4:e1 10-14:e2");
  // The offsets in between are still held in the old epoch: nothing in the new log has these offsets.
  const held = await heldAfterRestart(folder, { without: ["tracker.checkpoint"] });
  assert.equal(held, "0-11:e1 12-14:e2");
});

Deno.test("a truncation also removes offsets that are held without a line", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder);
  await it.journal.append({
    ...appendInEpoch(0, { start: 0, end: 5 }, 1),
    intervals: [{ start: 0, end: 9 }],
  });
  await it.journal.truncate(partition(0), 7);
  assert.equal(await heldAfterRestart(folder), "0-6:e1");
  await it.journal.truncate(partition(0), 2);
  await it.journal.append({
    ...partition(0),
    intervals: [{ start: 2, end: 9 }],
    epochs: [{ epoch: 2, start: 2 }],
    ...encodedLines([]),
  });
  await it.journal.checkpoint();
  assert.equal(await heldAfterRestart(folder), "0-1:e1 2-8:e2");
});

Deno.test("a truncation affects only its own partition and topic", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder);
  const others = [partition(1), { ...partition(0), topicId: "another" }];
  for (const of of [partition(0), ...others]) {
    await it.journal.append({ ...appendInEpoch(0, { start: 0, end: 5 }, 1), ...of });
  }
  await it.journal.truncate(partition(0), 2);
  assert.equal(it.journal.end(partition(0)), 2);
  for (const of of others) assert.equal(it.journal.end(of), 5);
});

Deno.test("Journal.truncate() refuses an invalid offset, a partition with an append in progress, and a closed journal", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder);
  for (const offset of [-1, 0.5, NaN]) {
    await assert.rejects(it.journal.truncate(partition(0), offset), RangeError);
  }
  const appending = it.journal.append(appendInEpoch(0, { start: 0, end: 2 }, 1));
  await assert.rejects(it.journal.truncate(partition(0), 0), RangeError);
  await appending;
  await it.journal.truncate(partition(0), 1);
  await it.journal.close();
  await assert.rejects(it.journal.truncate(partition(0), 0), JournalClosedError);
  assert.equal(await heldAfterRestart(folder), "0-0:e1");
});

Deno.test("a truncation during another partition's append and rotation leaves a checkpoint that is correct for both", async () => {
  // A checkpoint at such a moment could cover lines whose offsets it does not hold.
  for (let operation = 4; operation < 8; operation++) {
    for (let turn = 0; turn < 6; turn++) {
      using folder = new TestFolder();
      const storage = new FaultyStorage();
      await using it = await opened(folder, { storage, rotateBytes: 3_000 });
      await it.journal.append(appendInEpoch(0, { start: 0, end: 9 }, 1));
      let truncating: Promise<void> | undefined;
      let operationsLeft = operation;
      storage.stat = async (path) => {
        const facts = await denoStorage.stat(path);
        if (operationsLeft-- === 0) afterTurns(turn, () => truncating = truncate());
        return facts;
      };
      const truncate = () => it.journal.truncate(partition(0), 4);
      const appending = it.journal.append(appendInEpoch(1, { start: 0, end: 6 }, 1));
      await appending;
      await (truncating ?? truncate());
      await it.journal.append(appendInEpoch(1, { start: 6, end: 8 }, 1));
      using copy = crashed(folder);
      await using again = await opened(copy);
      const moment = `operation ${operation}, turn ${turn}`;
      assert.equal(heldText(again.journal, 0), "0-3:e1", moment);
      assert.equal(heldText(again.journal, 1), "0-7:e1", moment);
      assert.deepEqual(
        [...again.noticesOf("rebuilt"), ...again.noticesOf("repeated lines")],
        [],
        moment,
      );
    }
  }
});

function afterTurns(turns: number, call: () => void): void {
  if (turns === 0) call();
  else queueMicrotask(() => afterTurns(turns - 1, call));
}

Deno.test("a full disk does not delay a truncation; the checkpoint follows once there is space", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  await using it = await opened(folder, { storage, clock: fastClock() });
  await it.journal.append(appendInEpoch(0, { start: 0, end: 10 }, 1));
  // Once before the disk is known to be full, once after.
  const written = Promise.withResolvers<void>();
  let truncating: Promise<void> | undefined;
  storage.onWrite = () => {
    truncating ??= it.journal.truncate(partition(0), 8);
    written.resolve();
    throw diskFull();
  };
  const waiting = it.journal.append(appendInEpoch(1, { start: 0, end: 1 }, 1));
  await written.promise;
  await truncating;
  assert.notEqual(it.journal.stallReason, undefined);
  await it.journal.truncate(partition(0), 5);
  assert.equal(it.journal.end(partition(0)), 5);
  storage.onWrite = (bytes) => bytes.length;
  await waiting;
  await it.journal.checkpoint();
  assert.equal(await heldAfterRestart(folder), "0-4:e1");
});

Deno.test("an unwritable checkpoint does not delay a truncation, which a restart learns from the lines", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  await using it = await opened(folder, { storage });
  await it.journal.append(appendInEpoch(0, { start: 0, end: 10 }, 1));
  const { rename } = storage;
  storage.rename = () => Promise.reject(diskFull());
  await it.journal.truncate(partition(0), 5);
  assert.equal(it.noticesOf("checkpoint failed").length, 1);
  await it.journal.append(appendInEpoch(0, { start: 5, end: 7 }, 2));
  assert.equal(await heldAfterRestart(folder), "0-4:e1 5-6:e2");
  storage.rename = rename;
});

Deno.test("truncated records stay superseded when the files are reread while the journal is open", async () => {
  const appended = [
    { end: 5, held: "0-4:e1" },
    { end: 7, held: "0-4:e1 5-6:e2" },
  ];
  for (const { end, held } of appended) {
    using folder = new TestFolder();
    await using it = await opened(folder, { clock: fastClock() });
    await it.journal.append(appendInEpoch(0, { start: 0, end: 10 }, 1));
    await it.journal.truncate(partition(0), 5);
    if (end > 5) await it.journal.append(appendInEpoch(0, { start: 5, end }, 2));
    // Neither a checkpoint nor a line of offsets 7 to 9 shows the truncation.
    Deno.removeSync(folder.checkpoint);
    Deno.renameSync(folder.active, folder.file("old"));
    Deno.copyFileSync(folder.file("old"), folder.active);
    const next = appendInEpoch(0, { start: end, end: 12 }, 2);
    await assert.rejects(it.journal.append(next), JournalReopenedError);
    assert.equal(heldText(it.journal), held);
    await it.journal.append(next);
    assert.equal(heldText(it.journal), "0-4:e1 5-11:e2");
    const records = epochRecordsIn([Deno.readTextFileSync(folder.active)]);
    assert.equal(records.length, 10 + 7);
    assert.equal(await heldAfterRestart(folder), "0-4:e1 5-11:e2");
  }
});

Deno.test("the lowest truncation is remembered until a record is appended, across restarts and replaced files", async () => {
  using folder = new TestFolder();
  const known = async (journal: Journal) => {
    using copy = crashed(folder);
    await using it = await opened(copy);
    const truncation = it.journal.truncationOf(partition(0));
    assert.deepEqual(truncation, journal.truncationOf(partition(0)), "after a restart");
    return truncation;
  };
  await using it = await opened(folder, { clock: fastClock() });
  const { journal } = it;
  await journal.append(appendInEpoch(0, { start: 0, end: 10 }, 1));
  assert.equal(await known(journal), undefined);
  await journal.truncate(partition(0), 6);
  await journal.truncate(partition(0), 8);
  await journal.truncate(partition(0), 4);
  journal.noteTruncation(partition(0), { offset: 5, epoch: 1 });
  await journal.checkpoint();
  assert.deepEqual(await known(journal), { offset: 4, epoch: 1 });
  // A tracker that compares a journal of an earlier version with the log knows better which epochs were never
  // established.
  journal.noteTruncation(partition(0), { offset: 4, epoch: undefined });
  await journal.checkpoint();
  assert.deepEqual(await known(journal), { offset: 4, epoch: undefined });

  Deno.removeSync(folder.checkpoint);
  Deno.renameSync(folder.active, folder.file("old"));
  Deno.copyFileSync(folder.file("old"), folder.active);
  const next = appendInEpoch(0, { start: 7, end: 9 }, 2);
  await assert.rejects(journal.append(next), JournalReopenedError);
  await journal.checkpoint();
  assert.deepEqual(await known(journal), { offset: 4, epoch: undefined });
  await journal.append(next);
  assert.equal(await known(journal), undefined);
  journal.noteTruncation(partition(0), { offset: 9, epoch: 2 });
  await journal.append(appendInEpoch(0, { start: 4, end: 5 }, 2));
  assert.equal(await known(journal), undefined, "a record that fills a gap also counts");
});

Deno.test("Journal.establishEpoch() sets the epochs of an earlier version's records, across a restart", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder);
  await it.journal.append(appendOf(0, { start: 0, end: 10 }));
  assert.equal(it.journal.lastEpoch(partition(0)), undefined);
  it.journal.establishEpoch(partition(0), { epoch: 7, start: 6 });
  it.journal.establishEpoch(partition(0), { epoch: 5, start: 0 });
  assert.equal(heldText(it.journal), "0-5:e5 6-9:e7");
  await it.journal.append(appendInEpoch(0, { start: 10, end: 12 }, 7));
  await it.journal.checkpoint();
  assert.equal(await heldAfterRestart(folder), "0-5:e5 6-11:e7");
  // They must be established again if the checkpoint is lost.
  const without = ["tracker.checkpoint"];
  assert.equal(await heldAfterRestart(folder, { without }), "0-9:e? 10-11:e7");
});

for (const checkpoint of ["old", "missing"] as const) {
  Deno.test(`a journal cut at any byte after a truncation holds what its complete lines show (checkpoint ${checkpoint})`, async () => {
    using whole = new TestFolder();
    let old = new Uint8Array();
    let covered = 0;
    {
      await using it = await opened(whole);
      await it.journal.append(appendInEpoch(0, { start: 0, end: 4 }, 1));
      await it.journal.checkpoint();
      old = Deno.readFileSync(whole.checkpoint);
      covered = Deno.statSync(whole.active).size;
      await it.journal.truncate(partition(0), 2);
      await it.journal.append(appendInEpoch(0, { start: 2, end: 4 }, 2));
    }
    const bytes = Deno.readFileSync(whole.active);
    const lineBytes = bytes.length / 6;
    const heldByLineCount = new Map([[4, "0-3:e1"], [5, "0-1:e1 2-2:e2"], [6, "0-1:e1 2-3:e2"]]);
    for (let length = covered; length <= bytes.length; length++) {
      const storage = new PowerLossDisk(() => 0.999).storage(() => "done");
      await storage.createDirectory("logs");
      await write(storage, "logs/tracker.events", bytes.subarray(0, length));
      if (checkpoint === "old") await write(storage, "logs/tracker.checkpoint", old);
      const { journal } = await opened({ path: "logs" }, { storage });
      const held = heldByLineCount.get(Math.floor(length / lineBytes));
      assert.equal(heldText(journal), held, `length ${length}`);
      await journal.close();
    }
  });
}

async function write(storage: Storage, path: string, bytes: Uint8Array): Promise<void> {
  const file = await storage.open(path, "replace");
  await writeAll(file, bytes);
  file.close();
}

const UPKEEPS: Readonly<Record<string, Options>> = {
  "closed segments": ROTATE,
  "compressed segments": { ...ROTATE, compress: true },
  "removed segments": { ...ROTATE, keepMs: 1e-6 },
};

for (const [title, options] of Object.entries(UPKEEPS)) {
  Deno.test(`a truncation of records in ${title} is remembered without a checkpoint, before and after new records`, async () => {
    using folder = new TestFolder();
    // Restarts in between, so that every closed segment has its manifest, and is compressed or removed.
    const steps = [
      (journal: Journal) => appendEach(journal, { start: 0, end: 40 }, 1),
      (journal: Journal) => journal.truncate(partition(0), 25),
      (journal: Journal) => appendEach(journal, { start: 25, end: 45 }, 2),
      (journal: Journal) => journal.truncate(partition(0), 10),
      (journal: Journal) => appendEach(journal, { start: 10, end: 60 }, 3),
    ];
    for (const step of steps) {
      const it = await opened(folder, options);
      await step(it.journal);
      await it.journal.close();
      await processClosedSegments(folder, options);
    }
    const held = "0-9:e1 10-59:e3";
    assert.equal(await heldAfterRestart(folder), held);
    assert.equal(await heldAfterRestart(folder, { without: ["tracker.checkpoint"] }), held);
    if (options.keepMs !== undefined) return;
    const without = ["tracker.checkpoint", "tracker.manifest."];
    assert.equal(await heldAfterRestart(folder, { without }), held, "without manifests");
  });
}

/** Opens the journal until all closed segments are processed as the options require. */
async function processClosedSegments(folder: TestFolder, options: Options): Promise<void> {
  if (options.compress !== true && options.keepMs === undefined) return;
  const it = await opened(folder, options);
  const deadline = performance.now() + 10_000;
  while (folder.names("tracker.events.").length > 0) {
    assert.ok(performance.now() < deadline, "waited 10 s for the closed segments");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await it.journal.close();
}

Deno.test("manifests record where epochs begin and what is superseded, in fields that earlier versions do not compare", async () => {
  using folder = new TestFolder();
  {
    await using it = await opened(folder, ROTATE);
    await appendEach(it.journal, { start: 0, end: 20 }, 1);
    await it.journal.truncate(partition(0), 10);
    await appendEach(it.journal, { start: 10, end: 30 }, 2);
  }
  const [first, second] = [1, 2].map((number) => {
    const path = folder.file(`tracker.manifest.00000${number}.json`);
    return JSON.parse(Deno.readTextFileSync(path)).body;
  });
  const { topic, topicId } = partition(0);
  const own = { topic, topic_id: topicId, partition: 0 };
  const end = first.partitions[0].last_offset + 1;
  assert.deepEqual(first.leader_epochs, [{ ...own, starts: [[1, 0]], superseded: [] }]);
  assert.deepEqual(second.leader_epochs, [{ ...own, starts: [[2, 10]], superseded: [[10, 20]] }]);
  assert.deepEqual(Object.keys(first.partitions[0]), [
    "topic",
    "topic_id",
    "partition",
    "records",
    "first_offset",
    "last_offset",
    "held",
  ]);
  assert.ok(end > 10 && end < 20);
  const { segments } = await checkManifests(folder.path);
  assert.deepEqual(segments.filter(({ ok }) => !ok), []);
});

Deno.test("checkManifests() does not count offsets as removed that later segments superseded", async () => {
  using folder = new TestFolder();
  {
    await using it = await opened(folder, ROTATE);
    await appendEach(it.journal, { start: 0, end: 40 }, 1);
  }
  await processClosedSegments(folder, { ...ROTATE, keepMs: 1e-6 });
  const { removed: before } = await checkManifests(folder.path);
  const end = before.of(partition(0)).end ?? 0;
  assert.ok(end > 20);
  {
    await using it = await opened(folder, ROTATE);
    await it.journal.truncate(partition(0), 10);
    await appendEach(it.journal, { start: 15, end: 60 }, 2);
  }
  const { removed } = await checkManifests(folder.path);
  assert.deepEqual(removed.of(partition(0)).intervals, [{ start: 0, end: 10 }]);
});
