/**
 * Goal: a power loss after any operation on the disk does no harm.
 *
 * Method: a scenario runs on a disk in memory, and the power fails before its nth operation that changes the disk,
 * for every n until it ends. One combination after another of the unsynced directory changes survives, and of the
 * unsynced bytes all, none, or only the file's length. Then the journal is opened again.
 *
 * Invariants: everything that was acknowledged, or held by an open journal, is there; each record once, in order; the
 * held offsets match the files; every manifest is correct.
 */

import assert from "node:assert/strict";
import { type JournalOptions, openJournal } from "../../lib/journal/open_journal.ts";
import { checkManifests } from "../../lib/journal/manifest_check.ts";
import type { JournalNotice } from "../../lib/journal/notice.ts";
import type { Storage } from "../../lib/journal/storage.ts";
import { appendOf, diskFull, heldNames, lineOf, namesOf, partition, recordsIn } from "./fixture.ts";
import { type Fate, journalOn, PowerLossDisk, type Survivors } from "./power_loss_disk.ts";

const DIRECTORY = "data/logs";
const ROTATE = { rotateBytes: 700 };
const RECORDS = 5;
const TORN = "torn off by a crash, in more than one block of the disk: " + "x".repeat(200);

/** The operations that change the disk; any other leaves it as it was. */
const CHANGING =
  /^(write|syncData|truncate|rename|remove|\w+Directory|open (create|replace|lock))$/;

const BYTES = {
  all: { block: () => true, length: () => 1 },
  none: { block: () => false, length: () => 0 },
  "the length": { block: () => false, length: () => 1 },
} as const;

const IS_LONG = Deno.env.get("ORDERFLOW_FAULTS") === "long";

/** Returns all of {@link BYTES} in the long form or if no change survives; otherwise one of them, in turn. */
function bytesFor(turn: { readonly operation: number; readonly set: number }) {
  const all = Object.entries(BYTES);
  if (IS_LONG || turn.set === 0) return all;
  return all.filter((_, index) => index === (turn.operation + turn.set) % all.length);
}

type Options = Pick<JournalOptions, "rotateBytes" | "compress" | "keepMs">;

/** A journal on a disk that may lose its power, and what it must contain afterwards. */
class Site {
  readonly disk = new PowerLossDisk(() => 0.99);
  /** One past the last offset of partition 0 that must not be lost. */
  safeEnd = 0;
  /** Notices that the journal gives only if its files are not as expected. */
  readonly complaints: JournalNotice[] = [];
  readonly #isRebuiltExpected: boolean;

  constructor(isRebuiltExpected: boolean) {
    this.#isRebuiltExpected = isRebuiltExpected;
  }

  async open(storage: Storage, options: Options, onNotice: (notice: JournalNotice) => void) {
    let nowMs = 0;
    const journal = await openJournal({
      directory: DIRECTORY,
      storage,
      clock: {
        // Makes a checkpoint due after each group.
        now: () => nowMs += 10_000,
        date: () => new Date(nowMs += 10_000),
        sleep: (delayMs, signal) => {
          // The closing timeout never expires, but the delay before closed segments are checked again does.
          const isClosing = delayMs === 10_000;
          return new Promise((resolve) => {
            if (isClosing) signal.addEventListener("abort", () => resolve());
            else setTimeout(resolve, 0);
          });
        },
      },
      ...options,
      onNotice: (notice) => {
        const isComplaint = /^(repeated lines|reopened|segment changed)$/.test(notice.kind);
        const isRebuilt = notice.kind === "rebuilt" && !this.#isRebuiltExpected;
        if (isComplaint || isRebuilt) this.complaints.push(notice);
        onNotice(notice);
      },
    });
    this.safeEnd = Math.max(this.safeEnd, journal.end(partition(0)) ?? 0);
    return journal;
  }

  /** Appends those of the first records that are not held, and closes the journal. */
  async append(storage: Storage, count: number): Promise<void> {
    const journal = await this.open(storage, ROTATE, () => {});
    for (let start = journal.end(partition(0)) ?? 0; start < count; start++) {
      await journal.append(appendOf(0, { start, end: start + 1 }));
      this.safeEnd = Math.max(this.safeEnd, start + 1);
    }
    await journal.close();
  }

  /** Opens the journal, and waits until it has reported this many closed segments as done. */
  async tend(
    storage: Storage,
    { kind, count, ...options }: Options & { readonly kind: string; readonly count: number },
  ): Promise<void> {
    // A manifest created in this millisecond is not old enough to be removed.
    for (const nowMs = Date.now(); Date.now() === nowMs;);
    let left = count;
    let finish = () => {};
    const finished = new Promise<void>((resolve) => finish = resolve);
    const journal = await this.open(storage, options, (notice) => {
      if (notice.kind === kind && --left === 0) finish();
    });
    await finished;
    await journal.close();
  }

  async check(): Promise<void> {
    const journal = await this.open(this.disk.storage(() => "done"), ROTATE, () => {});
    const found = journalOn(this.disk);
    const { records, badLineCount } = recordsIn(found.texts);
    records.unshift(...found.removed);
    assert.deepEqual(this.complaints, []);
    assert.equal(badLineCount, 0, "bad lines");
    assert.deepEqual(
      records,
      namesOf(0, { start: 0, end: records.length }),
      "each record once, in order",
    );
    assert.ok(records.length >= this.safeEnd, `${this.safeEnd} are safe, found ${records.length}`);
    assert.deepEqual(heldNames(journal, 1), records, "held");
    await journal.close();
    const { segments } = await checkManifests(DIRECTORY, {
      storage: this.disk.storage(() => "done"),
    });
    assert.deepEqual(segments.filter(({ ok, state }) => !ok || state === "unsealed"), []);
  }
}

interface Scenario {
  /** True if there may be no valid checkpoint. */
  readonly isRebuiltExpected?: boolean;
  begin(site: Site, storage: Storage): Promise<void>;
  /** The work during which the power fails. */
  run(site: Site, storage: Storage): Promise<void>;
  /** Additional checks afterwards. */
  check?(site: Site): void;
}

const SEGMENTS = 2;
const COMPRESS = { ...ROTATE, compress: true, kind: "compressed", count: SEGMENTS };
const REMOVE = { ...ROTATE, keepMs: 1e-6, kind: "removed", count: SEGMENTS };

/** Wraps the storage with a hook for the next sync of the directory after an operation on a file of this name. */
function atSyncOf(storage: Storage, name: string, sayOnce: () => Promise<void>): Storage {
  let state: "before" | "there" | "after" = "before";
  const note = (path: string) => {
    if (state === "before" && path.includes(name)) state = "there";
  };
  return {
    ...storage,
    async rename(from, to) {
      await storage.rename(from, to);
      note(to);
    },
    async open(path, mode) {
      const file = await storage.open(path, mode);
      if (mode === "create") note(path);
      return file;
    },
    async syncDirectory(directory) {
      if (state === "there") {
        state = "after";
        await sayOnce();
      }
      await storage.syncDirectory(directory);
    },
  };
}

const failing = (storage: Storage, name: string) =>
  atSyncOf(storage, name, () => Promise.reject(new Error("the sync failed")));

/**
 * Does the work until the next sync of the directory after an operation on a file of this name; there the process
 * dies.
 */
async function killedAtSync(
  { disk }: Site,
  name: string,
  work: (storage: Storage) => Promise<void>,
): Promise<void> {
  await new Promise<void>((resolve) => {
    let isDead = false;
    const storage = disk.storage(() => isDead ? "never" : "done");
    void work(atSyncOf(storage, name, () => {
      isDead = true;
      resolve();
      return new Promise(() => {});
    }));
  });
  disk.kill();
}

const CLOSED = "tracker.events.0";
const ARCHIVE = "tracker.archive.";
const REMOVED = "tracker.removed.";

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "a journal is created, written, and rotated": {
    begin: () => Promise.resolve(),
    run: (site, storage) => site.append(storage, RECORDS),
  },
  "a journal is created that cannot write checkpoints": {
    isRebuiltExpected: true,
    begin: () => Promise.resolve(),
    run: (site, storage) =>
      site.append({
        ...storage,
        open: (path, mode) =>
          mode === "replace" && path.includes("checkpoint")
            ? Promise.reject(diskFull())
            : storage.open(path, mode),
      }, RECORDS),
  },
  "a rotation whose first sync failed is repeated": {
    begin: (site, storage) => site.append(storage, 2),
    run: (site, storage) => site.append(failing(storage, CLOSED), RECORDS),
  },
  "a rotation continues that was killed before its first sync": {
    begin: (site) => killedAtSync(site, CLOSED, (storage) => site.append(storage, RECORDS)),
    run: (site, storage) => site.append(storage, RECORDS),
  },
  "segments are compressed": {
    begin: (site, storage) => site.append(storage, RECORDS),
    run: (site, storage) => site.tend(storage, COMPRESS),
  },
  "segments are compressed after a sync failed": {
    begin: (site, storage) => site.append(storage, RECORDS),
    run: (site, storage) => site.tend(failing(storage, ARCHIVE), COMPRESS),
  },
  "segments are removed": {
    begin: (site, storage) => site.append(storage, RECORDS),
    run: (site, storage) => site.tend(storage, REMOVE),
  },
  "segments are removed after a sync failed": {
    begin: (site, storage) => site.append(storage, RECORDS),
    // The segment whose sync failed is removed without another notice.
    run: (site, storage) =>
      site.tend(failing(storage, REMOVED), { ...REMOVE, count: SEGMENTS - 1 }),
  },
  "compressed segments are removed": {
    async begin(site, storage) {
      await site.append(storage, RECORDS);
      await site.tend(storage, COMPRESS);
    },
    run: (site, storage) => site.tend(storage, REMOVE),
  },
  "a torn end is cut": {
    async begin(site, storage) {
      await site.append(storage, 2);
      const file = await storage.open(`${DIRECTORY}/tracker.events`, "append");
      await file.write(new TextEncoder().encode(lineOf(partition(0), 2) + TORN));
      await file.syncData();
      file.close();
    },
    run: (site, storage) => site.append(storage, 3),
    check(site) {
      const files = [...site.disk.files()].filter(([name]) => name.startsWith("tracker.cut."));
      const texts = files.map(([, bytes]) => new TextDecoder().decode(bytes));
      assert.ok(texts.includes(TORN), "the part that was cut is kept");
    },
  },
  "lines exist whose flush failed": {
    async begin(site, storage) {
      await site.append(storage, 3);
      let isWriting = false;
      await new Promise<void>((resolve) => {
        const failing = site.disk.storage((operation) => {
          if (!isWriting || operation === "write") return "done";
          resolve();
          return operation === "syncData" ? "fails" : "never";
        });
        void site.open(failing, {}, () => {}).then((journal) => {
          isWriting = true;
          return journal.append(appendOf(0, { start: 3, end: 5 }));
        });
      });
      // The process dies before it tries again; the lines are in the system's memory.
      site.disk.kill();
    },
    run: (site, storage) => site.append(storage, RECORDS),
  },
  "a journal continues that began with a segment copied into its folder": {
    isRebuiltExpected: true,
    async begin(site, storage) {
      await site.append(storage, 0);
      await storage.remove(`${DIRECTORY}/tracker.checkpoint`);
      const file = await storage.open(`${DIRECTORY}/tracker.events.000001`, "create");
      const lines = [0, 1, 2].map((offset) => lineOf(partition(0), offset));
      await file.write(new TextEncoder().encode(lines.join("")));
      file.close();
      await site.append(storage, 3);
    },
    run: (site, storage) => site.append(storage, RECORDS),
  },
};

/** Runs the scenario up to its nth operation; returns whether it completed, and the number of unsynced changes. */
async function attempt(
  { begin, run, check, isRebuiltExpected = false }: Scenario,
  operationCount: number,
  survivors: Survivors,
): Promise<{ readonly isDone: boolean; readonly changeCount: number }> {
  const site = new Site(isRebuiltExpected);
  await begin(site, site.disk.storage(() => "done"));
  let left = operationCount;
  let die = () => {};
  const died = new Promise<"died">((resolve) => die = () => resolve("died"));
  const storage = site.disk.storage((operation): Fate => {
    if (!CHANGING.test(operation) || left-- > 0) return "done";
    die();
    return "never";
  });
  const end = await Promise.race([run(site, storage).then(() => "done"), died]);
  const { changeCount } = site.disk;
  site.disk.losePower(survivors);
  await site.check();
  check?.(site);
  return { isDone: end === "done", changeCount };
}

/**
 * Returns combinations of surviving changes: none first, then every combination; of many changes, all but one and
 * only one.
 */
function survivorSets(count: number): readonly (readonly boolean[])[] {
  const all = Array.from(
    { length: 2 ** count },
    (_, mask) => Array.from({ length: count }, (_, index) => (mask >> index & 1) === 1),
  );
  if (count <= 3) return all;
  return all.filter((set) => {
    const survivorCount = set.filter((survives) => survives).length;
    return survivorCount <= 1 || survivorCount >= count - 1;
  });
}

for (const [name, scenario] of Object.entries(SCENARIOS)) {
  Deno.test(`nothing is lost if the power fails while ${name}, whichever of the last changes survive`, async () => {
    let isDone = false;
    let operationCount = 0;
    for (; !isDone; operationCount++) {
      // The number of changes is known only after the first attempt.
      let sets: readonly (readonly boolean[])[] = [[]];
      for (let index = 0; index < sets.length; index++) {
        const survived = sets[index] ?? [];
        for (const [bytes, ofBytes] of bytesFor({ operation: operationCount, set: index })) {
          const change = (index: number) => survived[index] ?? false;
          try {
            const result = await attempt(scenario, operationCount, { change, ...ofBytes });
            isDone = result.isDone;
            sets = survivorSets(result.changeCount);
          } catch (error) {
            throw new Error(
              `${operationCount} operations; of the changes ${survived}, of the bytes ${bytes} survived`,
              { cause: error },
            );
          }
        }
      }
    }
    assert.ok(operationCount > 15, `${operationCount} operations`);
  });
}
