/**
 * Tests compression and removal of closed segments: nothing is lost or appended again, whatever happens in between.
 */

import assert from "node:assert/strict";
import { ArchiveReader, packBlock } from "../../lib/journal/archive.ts";
import type { JournalOptions } from "../../lib/journal/open_journal.ts";
import { encodeSealed } from "../../lib/journal/sealed_text.ts";
import { checkManifests } from "../../lib/journal/manifest_check.ts";
import { denoStorage, readRange, type Storage } from "../../lib/journal/storage.ts";
import {
  appendOf,
  diskFull,
  fastClock,
  FaultyStorage,
  heldNames,
  lineOf,
  namesOf,
  opened,
  type OpenedJournal,
  partition,
  recordsIn,
  TestFolder,
  until,
} from "./fixture.ts";

const ROTATE = { rotateBytes: 700 };
const COMPRESS = { ...ROTATE, compress: true };
/** Treats every closed segment as old. */
const KEEP_NOTHING = { ...ROTATE, keepMs: 1e-6 };
const DAY_MS = 86_400_000;

type Options = Partial<Pick<JournalOptions, "rotateBytes" | "compress" | "keepMs" | "storage">>;

async function appendAll({ journal }: OpenedJournal, start: number, end: number): Promise<void> {
  for (let offset = start; offset < end; offset++) {
    if (journal.holds({ ...partition(0), offset })) continue;
    await journal.append(appendOf(0, { start: offset, end: offset + 1 }));
  }
}

async function journalOf(count: number, options: Options = ROTATE): Promise<TestFolder> {
  const folder = new TestFolder();
  await using it = await opened(folder, options);
  await appendAll(it, 0, count);
  return folder;
}

/** Opens the journal, and lets it process its closed segments as the options require. */
async function openedAndProcessed(folder: TestFolder, options: Options): Promise<OpenedJournal> {
  const it = await opened(folder, options);
  await until(() => {
    const [plain, archives] = ["events.", "archive."].map((kind) =>
      folder.names(`tracker.${kind}`)
    );
    if (options.keepMs === KEEP_NOTHING.keepMs) {
      return plain?.length === 0 && archives?.length === 0;
    }
    const manifests = folder.names("tracker.manifest.").length;
    return plain?.length === 0 && archives?.length === manifests;
  });
  await it.journal.close();
  return it;
}

async function textsIn(folder: TestFolder): Promise<string[]> {
  const texts: string[] = [];
  for (const name of folder.names("tracker.archive.").filter((name) => name.endsWith(".zst"))) {
    const number = name.replaceAll(/\D/g, "");
    if (folder.names(`tracker.events.${number}`).length > 0) continue;
    const archive = await ArchiveReader.open(await denoStorage.open(folder.file(name), "read"));
    const bytes = await readRange(archive, { start: 0, end: archive.bytes });
    archive.close();
    texts.push(new TextDecoder().decode(bytes));
  }
  for (const name of folder.names("tracker.events.")) {
    texts.push(Deno.readTextFileSync(folder.file(name)));
  }
  return [...texts, Deno.readTextFileSync(folder.active)];
}

async function assertHasAll(folder: TestFolder, end: number): Promise<void> {
  const { records, badLineCount } = recordsIn(await textsIn(folder));
  assert.equal(badLineCount, 0);
  assert.deepEqual(records, namesOf(0, { start: 0, end }));
}

async function statesOf(folder: TestFolder): Promise<readonly string[]> {
  const { segments } = await checkManifests(folder.path);
  return segments.map(({ state, ok, reason }) => ok ? state : `${state}: ${reason}`);
}

Deno.test("closed segments are compressed, each line is in the archive, and the manifests match", async () => {
  using folder = await journalOf(12);
  const plain = folder.names("tracker.events.");
  const it = await openedAndProcessed(folder, COMPRESS);
  assert.deepEqual(
    folder.names("tracker.archive."),
    plain.map((name) => name.replace("events", "archive") + ".zst"),
  );
  assert.equal(it.noticesOf("compressed").length, plain.length);
  for (const name of folder.names("tracker.archive.")) {
    assert.equal((Deno.statSync(folder.file(name)).mode ?? 0) & 0o777, 0o600);
  }
  await assertHasAll(folder, 12);
  assert.deepEqual(await statesOf(folder), plain.map(() => "compressed"));
});

Deno.test("records of a compressed segment stay held, with a checkpoint, without one, and without manifests", async () => {
  using whole = await journalOf(12);
  await openedAndProcessed(whole, COMPRESS);
  using folder = new TestFolder();
  for (const lost of [[], ["tracker.checkpoint"], ["tracker.checkpoint", "tracker.manifest."]]) {
    folder.copyFrom(whole);
    for (const name of lost.flatMap((start) => folder.names(start))) {
      Deno.removeSync(folder.file(name));
    }
    await using it = await opened(folder);
    assert.equal(it.noticesOf("rebuilt").length, lost.length === 0 ? 0 : 1);
    assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 12 }));
    await appendAll(it, 0, 15);
    await assertHasAll(folder, 15);
  }
});

Deno.test("the records of a missing archive are no longer held, as for a segment", async () => {
  using folder = await journalOf(12);
  await openedAndProcessed(folder, COMPRESS);
  Deno.removeSync(folder.file("tracker.archive.000001.zst"));
  await using it = await opened(folder);
  assert.match(it.noticesOf("rebuilt")[0]?.reason ?? "", /segment 1,.* is missing/);
  const { records } = recordsIn(await textsIn(folder));
  assert.deepEqual(heldNames(it.journal, 1), records);
  assert.match((await statesOf(folder))[0] ?? "", /^missing: the segment is missing/);
});

Deno.test("checkManifests() names an archive with a changed byte, or that was cut", async () => {
  using whole = await journalOf(12);
  await openedAndProcessed(whole, COMPRESS);
  using folder = new TestFolder();
  const name = "tracker.archive.000002.zst";
  const bytes = Deno.readFileSync(whole.file(name));
  for (const damaged of [bytes.with(99, (bytes[99] ?? 0) ^ 4), bytes.subarray(0, -3)]) {
    folder.copyFrom(whole);
    Deno.writeFileSync(folder.file(name), damaged);
    const [, second, ...others] = await statesOf(folder);
    assert.match(second ?? "", /^compressed: the segment was changed: the archive is damaged/);
    assert.ok(others.every((state) => state === "compressed"));
  }
  folder.copyFrom(whole);
  Deno.copyFileSync(folder.file("tracker.archive.000001.zst"), folder.file(name));
  assert.match((await statesOf(folder))[1] ?? "", /^compressed: the segment was changed: its SHA/);
});

Deno.test("a segment that does not match its manifest is not compressed, and is reported", async () => {
  using folder = await journalOf(12);
  const path = folder.file("tracker.events.000002");
  const text = Deno.readTextFileSync(path);
  Deno.writeTextFileSync(path, text.replace("value", "valve"));
  await using it = await opened(folder, COMPRESS);
  await until(() => folder.names("tracker.events.").length === 1);
  await it.journal.close();
  assert.equal(it.noticesOf("segment changed").length, 1);
  assert.equal(it.noticesOf("segment changed")[0]?.path, path);
  assert.ok(Deno.statSync(path).isFile);
  assert.match((await statesOf(folder))[1] ?? "", /^plain: the segment was changed/);
});

Deno.test("old segments are removed, oldest first; their records stay held, and the chain stays complete", async () => {
  for (const compressed of [false, true]) {
    using folder = await journalOf(12);
    if (compressed) await openedAndProcessed(folder, COMPRESS);
    const count = folder.names("tracker.manifest.").length;
    const it = await openedAndProcessed(folder, KEEP_NOTHING);
    assert.deepEqual(
      it.noticesOf("removed").map(({ path }) => path),
      Array.from({ length: count }, (_, index) => folder.file(`tracker.events.00000${index + 1}`)),
    );
    assert.deepEqual(folder.names("tracker.manifest."), []);
    assert.equal(folder.names("tracker.removed.").length, count);
    assert.deepEqual(await statesOf(folder), Array(count).fill("removed"));
    const { removed } = await checkManifests(folder.path);
    assert.ok(removed.of(partition(0)).has(0));

    for (const lost of ["", "tracker.checkpoint"]) {
      if (lost !== "") Deno.removeSync(folder.file(lost));
      await using again = await opened(folder, ROTATE);
      assert.equal(again.noticesOf("rebuilt").length, lost === "" ? 0 : 1);
      assert.deepEqual(heldNames(again.journal, 1), namesOf(0, { start: 0, end: 12 }));
      await assert.rejects(
        again.journal.append(appendOf(0, { start: 0, end: 1 })),
        RangeError,
        "removed records are not appended again",
      );
    }
    // The chain and the numbers continue.
    await using again = await opened(folder, ROTATE);
    await appendAll(again, 0, 20);
    await again.journal.close();
    assert.ok((await statesOf(folder)).every((state) => /^(removed|plain)$/.test(state)));
    const { chain } = JSON.parse(
      Deno.readTextFileSync(
        folder.file(`tracker.manifest.${String(count + 1).padStart(6, "0")}.json`),
      ),
    ).body;
    assert.equal(chain, count + 1);
  }
});

Deno.test("without a checkpoint, a damaged manifest of a removed segment loses only that segment's records", async () => {
  using folder = await journalOf(12);
  await openedAndProcessed(folder, KEEP_NOTHING);
  Deno.truncateSync(folder.file("tracker.removed.000002.json"), 100);
  Deno.removeSync(folder.checkpoint);
  await using it = await opened(folder);
  const held = namesOf(0, { start: 0, end: 12 }).filter((name) => !/:(2|3)$/.test(name));
  assert.deepEqual(heldNames(it.journal, 1), held);
  assert.match((await statesOf(folder))[1] ?? "", /^removed: its manifest is damaged/);
});

Deno.test("an archive without a manifest is read completely, its foreign lines are reported, and no file is left open", async () => {
  using folder = new TestFolder();
  const lines = [0, 1].map((offset) => lineOf(partition(0), offset));
  const text = new TextEncoder().encode(lines[0] + "hello\n" + lines[1]);
  Deno.writeFileSync(folder.file("tracker.archive.000001.zst"), packBlock(text));
  const storage = new FaultyStorage();
  {
    await using it = await opened(folder, { storage });
    assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 2 }));
    assert.deepEqual(it.noticesOf("foreign lines").map(({ lineCount }) => lineCount), [1]);
    await until(() => storage.openCount === 2);
  }
  assert.equal(storage.openCount, 0);
});

Deno.test("checkManifests() names an archive whose manifest is missing, and a file in place of a removed segment", async () => {
  using folder = await journalOf(12);
  await openedAndProcessed(folder, COMPRESS);
  const segment = await textsIn(folder);
  const last = folder.names("tracker.manifest.").length;
  for (const number of [2, last]) {
    Deno.removeSync(folder.file(`tracker.manifest.00000${number}.json`));
    const state = (await statesOf(folder))[number - 1] ?? "";
    assert.match(state, /^compressed: its manifest is missing/);
  }

  using other = await journalOf(12);
  await openedAndProcessed(other, KEEP_NOTHING);
  Deno.removeSync(other.file("tracker.removed.000002.json"));
  Deno.writeTextFileSync(other.file("tracker.events.000002"), segment[1] ?? "");
  assert.match((await statesOf(other))[1] ?? "", /^unsealed: its manifest is missing/);
});

Deno.test("an old checkpoint remains valid although its segment was compressed or removed since", async () => {
  for (const options of [COMPRESS, KEEP_NOTHING]) {
    for (const checkpointAt of [0, 1, 3]) {
      using folder = await journalOf(checkpointAt);
      const checkpoint = Deno.readTextFileSync(folder.checkpoint);
      {
        await using it = await opened(folder, ROTATE);
        await appendAll(it, checkpointAt, 12);
      }
      await openedAndProcessed(folder, options);
      Deno.writeTextFileSync(folder.checkpoint, checkpoint);
      {
        await using it = await opened(folder, ROTATE);
        assert.deepEqual(it.noticesOf("rebuilt"), []);
        assert.equal(it.journal.id, JSON.parse(checkpoint).body.journal);
        assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 12 }));
        await appendAll(it, 0, 16);
      }
      const states = await statesOf(folder);
      assert.ok(states.every((state) => /^(compressed|removed|plain)$/.test(state)), states.join());
    }
  }
});

Deno.test("a checkpoint is rejected if its segment was compressed or removed and differs by its manifest", async () => {
  for (const options of [COMPRESS, KEEP_NOTHING]) {
    using folder = await journalOf(5);
    await openedAndProcessed(folder, options);
    const { body } = JSON.parse(Deno.readTextFileSync(folder.checkpoint));
    const others = [
      { position: 1_000_000 },
      { position: 100, fingerprint: { ...body.fingerprint, headSha256: "0".repeat(64) } },
    ];
    for (const other of others) {
      const changed = { ...body, segment: 1, closed: [], ...other };
      Deno.writeTextFileSync(folder.checkpoint, encodeSealed(changed, { version: 1 }));
      await using it = await opened(folder, ROTATE);
      assert.equal(it.noticesOf("rebuilt").length, 1, JSON.stringify(other));
      assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 5 }));
    }
  }
});

Deno.test("segments are compressed and removed the same without a checkpoint", async () => {
  for (const isArchived of [false, true]) {
    using folder = await journalOf(12);
    if (isArchived) await openedAndProcessed(folder, COMPRESS);
    const options = isArchived ? KEEP_NOTHING : COMPRESS;
    Deno.removeSync(folder.checkpoint);
    const it = await openedAndProcessed(folder, options);
    assert.equal(it.noticesOf("rebuilt").length, 1);
    // The checkpoint that it wrote covers all remaining segments.
    await using again = await opened(folder);
    assert.deepEqual(again.notices, []);
    assert.deepEqual(heldNames(again.journal, 1), namesOf(0, { start: 0, end: 12 }));
  }
});

/** Rewrites the manifest of a segment as if it had been created at another time. */
function setAge(folder: TestFolder, number: number, ageMs: number): void {
  const path = folder.file(`tracker.manifest.${String(number).padStart(6, "0")}.json`);
  const { body } = JSON.parse(Deno.readTextFileSync(path));
  const created = new Date(Date.now() - ageMs).toISOString();
  Deno.writeTextFileSync(path, encodeSealed({ ...body, created }, { version: 1 }));
}

/** Opens the journal, and closes it once its closed segments are processed as far as possible now. */
async function processedAsFarAsPossible(
  folder: TestFolder,
  options: Options,
): Promise<OpenedJournal> {
  const delaysMs: number[] = [];
  const it = await opened(folder, { ...options, clock: fastClock(delaysMs) });
  await until(() => delaysMs.includes(60_000));
  await it.journal.close();
  return it;
}

Deno.test("segments that are not old enough are kept, and without --keep all are", async () => {
  using folder = await journalOf(12);
  const plain = folder.names("tracker.events.");
  await using unlimited = await opened(folder);
  await unlimited.journal.close();
  for (const it of [unlimited, await processedAsFarAsPossible(folder, { keepMs: DAY_MS })]) {
    assert.deepEqual(folder.names("tracker.events."), plain);
    assert.deepEqual(it.noticesOf("removed"), []);
  }
});

Deno.test("removal stops at the first segment that is too young or has no valid manifest, and skips none", async () => {
  using whole = await journalOf(10);
  const count = whole.names("tracker.manifest.").length;
  assert.ok(count >= 4);
  using archived = new TestFolder();
  archived.copyFrom(whole);
  await openedAndProcessed(archived, COMPRESS);
  using folder = new TestFolder();
  const keepMs = DAY_MS;
  for (const from of [whole, archived]) {
    for (let stopsAt = 1; stopsAt <= count; stopsAt++) {
      for (const why of ["young", "damaged", "gone"] as const) {
        // A plain segment without a manifest gets a new one, which makes it young; an archive does not.
        folder.copyFrom(from);
        for (let number = 1; number <= count; number++) setAge(folder, number, 2 * DAY_MS);
        const path = folder.file(`tracker.manifest.00000${stopsAt}.json`);
        if (why === "young") setAge(folder, stopsAt, DAY_MS - 60_000);
        else if (why === "damaged") Deno.truncateSync(path, 200);
        else Deno.removeSync(path);
        const it = await processedAsFarAsPossible(folder, { keepMs });
        assert.deepEqual(
          it.noticesOf("removed").map(({ path }) => path),
          Array.from(
            { length: stopsAt - 1 },
            (_, index) => folder.file(`tracker.events.00000${index + 1}`),
          ),
          `${why} at ${stopsAt}`,
        );
        const isReported = why === "damaged" || (why === "gone" && from === archived);
        assert.equal(it.noticesOf("segment changed").length, isReported ? 1 : 0);
        assert.deepEqual(it.noticesOf("upkeep failed"), []);
      }
    }
  }
});

Deno.test("more than nine segments are removed in numerical order", async () => {
  using folder = await journalOf(26);
  const count = folder.names("tracker.manifest.").length;
  assert.ok(count > 11);
  const it = await openedAndProcessed(folder, KEEP_NOTHING);
  assert.deepEqual(
    it.noticesOf("removed").map(({ path }) => path),
    Array.from(
      { length: count },
      (_, index) => folder.file(`tracker.events.${String(index + 1).padStart(6, "0")}`),
    ),
  );
});

/**
 * Goal: a process that ends or fails at any step of sealing, compressing, and removing does no harm.
 * Method: the process "dies" at the nth operation on the disk (it and all later ones never return), or that operation
 * fails; for every n until the work is done first. Then the journal is opened again.
 */
for (const fate of ["dies", "fails"] as const) {
  Deno.test(`a process that ${fate} at any step of compressing and removing loses nothing and repeats nothing`, async () => {
    for (const mode of [COMPRESS, { ...KEEP_NOTHING, compress: true }]) {
      using whole = await journalOf(8);
      for (const name of whole.names("tracker.manifest.")) Deno.removeSync(whole.file(name));
      using folder = new TestFolder();
      let isDone = false;
      let step = 0;
      for (; !isDone; step++) {
        folder.copyFrom(whole);
        let left = step;
        let isTouched = false;
        const storage = stoppable(() => {
          if (left-- > 0) return "done";
          isTouched = true;
          return fate === "dies" ? "never" : left < -1 ? "done" : "fails";
        });
        const it = await opened(folder, { ...mode, storage: storage.asked });
        storage.begin();
        await until(() => isTouched || areTended(folder, mode));
        // Pending work is over, and then the journal's lock is free as after a death.
        await new Promise((resolve) => setTimeout(resolve, 2));
        isDone = !isTouched;
        if (fate === "dies") storage.die();
        else await it.journal.close();
        const again = await openedAndProcessed(folder, mode);
        assert.deepEqual(again.noticesOf("rebuilt"), [], `step ${step}`);
        assert.deepEqual(heldNames(again.journal, 1), namesOf(0, { start: 0, end: 8 }));
        const states = await statesOf(folder);
        const state = "keepMs" in mode ? "removed" : "compressed";
        assert.deepEqual(states, states.map(() => state), `step ${step}`);
        if (state === "compressed") await assertHasAll(folder, 8);
        assert.deepEqual(folder.names("").filter((name) => name.endsWith(".new")), []);
      }
      assert.ok(step > 30, `${step} steps`);
    }
  });
}

function areTended(folder: TestFolder, mode: Options): boolean {
  const names = folder.names("tracker.");
  const isLeft = (kind: string) => names.some((name) => name.startsWith(`tracker.${kind}.`));
  return !isLeft("events") && (mode.keepMs === undefined || !isLeft("archive"));
}

/**
 * The real disk, with a hook for each operation that changes it, from `begin` on; `die` releases the folder's lock.
 */
function stoppable(fateOf: () => "done" | "fails" | "never") {
  let hasBegun = false;
  const locks: { close(): void }[] = [];
  const act = <T>(operation: () => Promise<T>): Promise<T> => {
    switch (hasBegun ? fateOf() : "done") {
      case "done":
        return operation();
      case "fails":
        return Promise.reject(diskFull());
      case "never":
        return new Promise<T>(() => {});
    }
  };
  const asked: Storage = {
    ...denoStorage,
    rename: (from, to) => act(() => denoStorage.rename(from, to)),
    remove: (path) => act(() => denoStorage.remove(path)),
    syncDirectory: (directory) => act(() => denoStorage.syncDirectory(directory)),
    async open(path, mode) {
      const file = await act(() => denoStorage.open(path, mode));
      if (mode === "lock") locks.push(file);
      return {
        read: (into) => file.read(into),
        seek: (position) => file.seek(position),
        truncate: (bytes) => file.truncate(bytes),
        stat: () => file.stat(),
        tryLock: () => file.tryLock(),
        close: () => file.close(),
        write: (bytes) => act(() => file.write(bytes)),
        syncData: () => act(() => file.syncData()),
      };
    },
  };
  return {
    asked,
    begin: () => void (hasBegun = true),
    die: () => locks.forEach((lock) => lock.close()),
  };
}

Deno.test("a full disk stops compression, which is completed once there is space", async () => {
  using folder = await journalOf(12);
  const plain = folder.names("tracker.events.");
  const storage = new FaultyStorage();
  const { open } = storage;
  storage.open = async (path, mode) => {
    const file = await open.call(storage, path, mode);
    if (!path.includes("archive") || mode !== "replace") return file;
    return Object.assign(Object.create(file), {
      write: () => Promise.reject(diskFull()),
      close: () => file.close(),
    });
  };
  {
    await using it = await opened(folder, { ...COMPRESS, storage });
    await until(() => it.noticesOf("upkeep failed").length > 0);
    assert.deepEqual(folder.names("tracker.archive."), []);
    assert.deepEqual(folder.names("tracker.events."), plain);
    await appendAll(it, 12, 14);
  }
  await openedAndProcessed(folder, COMPRESS);
  await assertHasAll(folder, 14);
});

Deno.test("a segment closed while the folder is listed is left to the next pass, and not reported as changed", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  const { list } = storage;
  const [listed, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let isHeld = false;
  storage.list = async (directory) => {
    const names = await list.call(storage, directory);
    if (!isHeld && names.includes("tracker.events.000001")) {
      isHeld = true;
      listed.resolve();
      await released.promise;
    }
    return names;
  };
  // The first segment is dated day 0 and is 10 days old at the next check; the date stays there, so the second is
  // new.
  const dates = [0];
  const clock = { ...fastClock(), date: () => new Date(dates.shift() ?? 10 * DAY_MS) };
  await using it = await opened(folder, { ...COMPRESS, keepMs: DAY_MS, storage, clock });
  let offset = 0;
  const appendUntilRotated = async (count: number) => {
    while (it.noticesOf("rotated").length < count) await appendAll(it, offset, ++offset);
  };
  await appendUntilRotated(1);
  await listed.promise;
  await appendUntilRotated(2);
  released.resolve();
  await until(() =>
    it.noticesOf("compressed").length === 2 || it.noticesOf("segment changed").length > 0
  );
  assert.deepEqual(it.noticesOf("segment changed"), []);
  assert.deepEqual(it.noticesOf("removed").map(({ path }) => path), [
    folder.file("tracker.events.000001"),
  ]);
  assert.deepEqual(folder.names("tracker.archive."), ["tracker.archive.000002.zst"]);
});
