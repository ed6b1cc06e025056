/** Tests manifests: their contents, that they exist whatever happened, and what checkManifests() reports. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { packBlock } from "../../lib/journal/archive.ts";
import { checkManifests } from "../../lib/journal/manifest_check.ts";
import type { ManifestBody } from "../../lib/journal/manifest.ts";
import { denoStorage, type Storage } from "../../lib/journal/storage.ts";
import { encodeSealed } from "../../lib/journal/sealed_text.ts";
import {
  appendOf,
  diskFull,
  encodedLines,
  fastClock,
  FaultyStorage,
  heldNames,
  lineOf,
  namesOf,
  opened,
  partition,
  recordsInFolder,
  TestFolder,
  until,
} from "./fixture.ts";

const ROTATE = { rotateBytes: 700 };

/** Creates a folder with a closed journal of `count` records of partitions 0 and 1, in segments of 2 or 3. */
async function segmentsOf(count: number): Promise<TestFolder> {
  const folder = new TestFolder();
  await using it = await opened(folder, ROTATE);
  for (let start = 0; start < count; start++) {
    await it.journal.append(appendOf(start % 2, { start, end: start + 1 }));
  }
  return folder;
}

function manifestOf(folder: TestFolder, number: number): ManifestBody {
  return JSON.parse(Deno.readTextFileSync(folder.file(nameOf("manifest", number)))).body;
}

function nameOf(kind: "manifest" | "removed" | "events" | "archive", number: number): string {
  const ending = { manifest: ".json", removed: ".json", events: "", archive: ".zst" }[kind];
  return `tracker.${kind}.${String(number).padStart(6, "0")}${ending}`;
}

function sha256Of(path: string): string {
  return createHash("sha256").update(Deno.readFileSync(path)).digest("hex");
}

async function problemsIn(folder: TestFolder): Promise<readonly (readonly [string, string])[]> {
  const { segments } = await checkManifests(folder.path);
  return segments.filter(({ ok }) => !ok).map(({ name, reason }) => [name, reason ?? ""] as const);
}

Deno.test("each closed segment has a manifest that describes it and names the previous one", async () => {
  using folder = await segmentsOf(12);
  const closed = folder.names("tracker.events.");
  assert.ok(closed.length >= 4);
  assert.equal(folder.names("tracker.manifest.").length, closed.length);
  for (const [index, name] of closed.entries()) {
    const number = index + 1;
    const { segment, partitions, chain, previous } = manifestOf(folder, number);
    const text = Deno.readTextFileSync(folder.file(name));
    assert.equal(segment.name, name);
    assert.equal(segment.bytes, text.length);
    assert.equal(segment.lines, text.split("\n").length - 1);
    assert.equal(segment.sha256, sha256Of(folder.file(name)));
    assert.equal(chain, number);
    const before = folder.file(nameOf("manifest", index));
    assert.deepEqual(
      previous,
      index === 0 ? null : { segment: closed[index - 1], sha256: sha256Of(before) },
    );
    const offsets = text.trimEnd().split("\n").map((line) => JSON.parse(line));
    for (const share of partitions) {
      const own = offsets.filter((line) => line.kafka_partition === share.partition)
        .map((line) => line.kafka_offset);
      assert.deepEqual(share, {
        topic: "orders",
        topic_id: partition(0).topicId,
        partition: share.partition,
        records: own.length,
        first_offset: own[0],
        last_offset: own.at(-1),
        held: own.map((offset) => [offset, offset + 1]),
      });
    }
  }
  const { segments, head } = await checkManifests(folder.path);
  assert.deepEqual(
    segments,
    closed.map((name) => ({ name, state: "plain", ok: true })),
  );
  assert.equal(head?.sha256, sha256Of(folder.file(nameOf("manifest", closed.length))));
});

Deno.test("a manifest is the same whether built during appends, hashed after a restart, or scanned", async () => {
  const bodies: ManifestBody[] = [];
  for (const way of ["along", "restarted", "scanned"] as const) {
    using folder = new TestFolder();
    const intervals = [{ start: 3, end: 9 }];
    const wide = { ...appendOf(0, { start: 4, end: 6 }), intervals };
    {
      await using it = await opened(folder, ROTATE);
      await it.journal.append(wide);
      if (way !== "along") await it.journal.close();
    }
    if (way === "scanned") Deno.removeSync(folder.checkpoint);
    await using it = await opened(folder, ROTATE);
    await it.journal.append(appendOf(1, { start: 0, end: 1 }));
    await it.journal.append(appendOf(1, { start: 1, end: 3 }));
    await it.journal.close();
    assert.equal(it.noticesOf("sealed")[0]?.lineCount, 2, way);
    assert.deepEqual(await problemsIn(folder), []);
    const { segment, partitions } = manifestOf(folder, 1);
    bodies.push({ segment, partitions } as ManifestBody);
    // Without the checkpoint, only the lines show what is held.
    const held = way === "scanned" ? [[4, 6]] : [[3, 9]];
    assert.deepEqual(partitions[0]?.held, held);
  }
  assert.deepEqual(bodies[0], bodies[1]);
  assert.deepEqual(bodies[0]?.segment, bodies[2]?.segment);
});

Deno.test("a manifest lost in a crash after the rename is written at the next start", async () => {
  using whole = await segmentsOf(12);
  for (const lost of [[5], [4, 5], [1, 2, 3, 4, 5]]) {
    using folder = new TestFolder();
    folder.copyFrom(whole);
    const count = folder.names("tracker.manifest.").length;
    for (const number of lost) {
      if (number <= count) Deno.removeSync(folder.file(nameOf("manifest", number)));
    }
    {
      await using it = await opened(folder);
      await it.journal.close();
      assert.equal(it.noticesOf("sealed").length, lost.filter((number) => number <= count).length);
    }
    assert.equal(folder.names("tracker.manifest.").length, count);
    assert.deepEqual(await problemsIn(folder), []);
    for (let number = 1; number <= count; number++) {
      const { segment, partitions } = manifestOf(whole, number);
      const made = manifestOf(folder, number);
      assert.deepEqual({ segment: made.segment, partitions: made.partitions }, {
        segment,
        partitions,
      });
    }
  }
});

Deno.test("a manifest counts only its own segment's lines, whatever the last checkpoint covers", async () => {
  const kinds = ["of an earlier segment", "without counts", "missing"] as const;
  for (const checkpoint of kinds) {
    using folder = new TestFolder();
    {
      await using it = await opened(folder, ROTATE);
      await it.journal.append(appendOf(0, { start: 0, end: 1 }));
    }
    const old = Deno.readTextFileSync(folder.checkpoint);
    {
      await using it = await opened(folder, ROTATE);
      for (let start = 1; start < 7; start++) {
        await it.journal.append(appendOf(start % 2, { start, end: start + 1 }));
      }
    }
    for (const name of folder.names("tracker.manifest.")) Deno.removeSync(folder.file(name));
    if (checkpoint === "of an earlier segment") {
      Deno.writeTextFileSync(folder.checkpoint, old);
    } else if (checkpoint === "missing") {
      Deno.removeSync(folder.checkpoint);
    } else {
      // As the first version wrote it.
      const { body } = JSON.parse(Deno.readTextFileSync(folder.checkpoint));
      const { active: _, ...rest } = body;
      Deno.writeTextFileSync(folder.checkpoint, encodeSealed(rest, { version: 1 }));
    }
    {
      await using it = await opened(folder, ROTATE);
      await it.journal.append(appendOf(0, { start: 7, end: 10 }));
      await it.journal.append(appendOf(0, { start: 10, end: 13 }));
    }
    const count = folder.names("tracker.events.").length;
    assert.ok(count >= 4, checkpoint);
    for (let number = 1; number <= count; number++) {
      const text = Deno.readTextFileSync(folder.file(nameOf("events", number)));
      const lineCount = text.split("\n").length - 1;
      const { segment, partitions } = manifestOf(folder, number);
      assert.equal(segment.lines, lineCount, `segment ${number}, checkpoint ${checkpoint}`);
      const records = partitions.reduce((sum, share) => sum + share.records, 0);
      assert.equal(records, lineCount, `segment ${number}, checkpoint ${checkpoint}`);
    }
    assert.deepEqual(await problemsIn(folder), []);
  }
});

Deno.test("a journal of an earlier version, or of the founding project's tracker, gets its manifests", async () => {
  using folder = new TestFolder();
  const old = { topic: "orders", topicId: "", partition: 0 };
  Deno.writeTextFileSync(
    folder.file("tracker.events.000001"),
    "a note\n" + lineOf(old, 0) + lineOf(old, 1),
  );
  Deno.writeTextFileSync(folder.active, lineOf(old, 2));
  await using it = await opened(folder);
  await it.journal.close();
  const { segment, partitions } = manifestOf(folder, 1);
  assert.equal(segment.lines, 3);
  assert.deepEqual(partitions, [{
    topic: "orders",
    topic_id: "",
    partition: 0,
    records: 2,
    first_offset: 0,
    last_offset: 1,
    held: [[0, 2]],
  }]);
  assert.deepEqual(await problemsIn(folder), []);
});

Deno.test("checkManifests() names the segment with a changed, missing, or additional byte", async () => {
  using whole = await segmentsOf(12);
  using folder = new TestFolder();
  const name = nameOf("events", 2);
  const { size } = Deno.statSync(whole.file(name));
  for (const at of [0, 100, size - 2]) {
    folder.copyFrom(whole);
    const bytes = Deno.readFileSync(folder.file(name));
    Deno.writeFileSync(folder.file(name), bytes.with(at, (bytes[at] ?? 0) ^ 1));
    const [[found, reason] = [""], ...others] = await problemsIn(folder);
    assert.equal(found, name);
    assert.match(reason ?? "", /^the segment was changed: its SHA-256 is [0-9a-f]{64}, expected/);
    assert.deepEqual(others, []);
  }
  folder.copyFrom(whole);
  Deno.truncateSync(folder.file(name), size - 1);
  assert.match(
    (await problemsIn(folder))[0]?.[1] ?? "",
    new RegExp(`has ${size - 1} bytes, expected`),
  );
  folder.copyFrom(whole);
  Deno.writeTextFileSync(folder.file(name), "\n", { append: true });
  assert.match(
    (await problemsIn(folder))[0]?.[1] ?? "",
    new RegExp(`has ${size + 1} bytes, expected`),
  );
});

Deno.test("checkManifests() names a missing segment, and a manifest that is missing, torn, or from another segment", async () => {
  using whole = await segmentsOf(14);
  using folder = new TestFolder();
  const manifest = folder.file(nameOf("manifest", 2));

  folder.copyFrom(whole);
  Deno.removeSync(folder.file(nameOf("events", 2)));
  assert.deepEqual(await problemsIn(folder), [[nameOf("events", 2), "the segment is missing"]]);

  folder.copyFrom(whole);
  Deno.removeSync(manifest);
  assert.deepEqual(await problemsIn(folder), [
    [nameOf("events", 2), "its manifest is missing"],
    [
      nameOf("events", 3),
      "the chain of manifests is broken: its manifest has number 3, but number 2 is missing",
    ],
  ]);

  folder.copyFrom(whole);
  Deno.truncateSync(manifest, 200);
  assert.deepEqual((await problemsIn(folder))[0], [
    nameOf("events", 2),
    "its manifest is damaged: it is not a whole manifest",
  ]);

  folder.copyFrom(whole);
  const bytes = Deno.readFileSync(manifest);
  Deno.writeFileSync(manifest, bytes.with(150, 0xff));
  assert.deepEqual((await problemsIn(folder))[0], [
    nameOf("events", 2),
    "its manifest is damaged: it is not valid UTF-8",
  ]);

  folder.copyFrom(whole);
  Deno.copyFileSync(folder.file(nameOf("manifest", 3)), manifest);
  assert.match((await problemsIn(folder))[0]?.[1] ?? "", /its manifest describes .*000003/);
});

Deno.test("checkManifests() detects a manifest that was rewritten to fit a changed segment", async () => {
  using folder = await segmentsOf(12);
  const events = folder.file(nameOf("events", 2));
  const bytes = Deno.readFileSync(events);
  const at = Deno.readTextFileSync(events).indexOf('"raw_message":"') + 15;
  Deno.writeFileSync(events, bytes.with(at, 0x41));
  const path = folder.file(nameOf("manifest", 2));
  const body = JSON.stringify({
    ...manifestOf(folder, 2),
    segment: { ...manifestOf(folder, 2).segment, sha256: sha256Of(events) },
  });
  const sha256 = createHash("sha256").update(body).digest("hex");
  Deno.writeTextFileSync(path, `{"version":1,"sha256":"${sha256}","body":${body}}\n`);
  assert.deepEqual(await problemsIn(folder), [[
    nameOf("events", 3),
    "the chain of manifests is broken: " +
    "the manifest of tracker.events.000002 was changed after this one was written",
  ]]);
});

Deno.test("checkManifests() detects a chain with a repeated number, or without a beginning", async () => {
  using whole = await segmentsOf(12);
  const last = whole.names("tracker.manifest.").length;
  const previous = { segment: "tracker.events.000009", sha256: "0".repeat(64) };
  const lies = [
    [last, { chain: last - 1 }, new RegExp(`two manifests have number ${last - 1}`)],
    [1, { previous }, /the first manifest is missing/],
    [2, { previous: null }, /the manifest of tracker.events.000001 was changed/],
  ] as const;
  using folder = new TestFolder();
  for (const [number, lie, reason] of lies) {
    folder.copyFrom(whole);
    const body = { ...manifestOf(folder, number), ...lie };
    const path = folder.file(nameOf("manifest", number));
    Deno.writeTextFileSync(path, encodeSealed(body, { version: 1 }));
    const [found, text] = (await problemsIn(folder))[0] ?? [];
    assert.equal(found, nameOf("events", number));
    assert.match(text ?? "", reason);
  }
});

Deno.test("checkManifests() retries if a segment is removed while it reads", async () => {
  using folder = await segmentsOf(12);
  const path = folder.file(nameOf("manifest", 1));
  const storage: Storage = {
    ...denoStorage,
    open(opened, mode) {
      if (opened === path && folder.names(nameOf("manifest", 1)).length > 0) {
        Deno.renameSync(path, folder.file(nameOf("removed", 1)));
        Deno.removeSync(folder.file(nameOf("events", 1)));
      }
      return denoStorage.open(opened, mode);
    },
  };
  const { segments } = await checkManifests(folder.path, { storage });
  assert.deepEqual(segments.filter(({ ok }) => !ok), []);
  assert.equal(segments[0]?.state, "removed");
});

Deno.test("checkManifests() retries if a segment is compressed while it reads", async () => {
  using folder = await segmentsOf(12);
  const path = folder.file(nameOf("events", 1));
  const storage: Storage = {
    ...denoStorage,
    open(opened, mode) {
      if (opened === path && folder.names(nameOf("events", 1)).length > 0) {
        Deno.writeFileSync(folder.file(nameOf("archive", 1)), packBlock(Deno.readFileSync(path)));
        Deno.removeSync(path);
      }
      return denoStorage.open(opened, mode);
    },
  };
  const { segments } = await checkManifests(folder.path, { storage });
  assert.deepEqual(segments.filter(({ ok }) => !ok), []);
  assert.equal(segments[0]?.state, "compressed");
});

Deno.test("checkManifests() propagates disk errors, and ends when aborted", async () => {
  using folder = await segmentsOf(12);
  for (const kind of ["manifest", "events"] as const) {
    const path = folder.file(nameOf(kind, 2));
    const storage = new FaultyStorage();
    const { open } = storage;
    storage.open = (opened, mode) =>
      opened === path
        ? Promise.reject(new Error("an I/O error"))
        : open.call(storage, opened, mode);
    await assert.rejects(checkManifests(folder.path, { storage }), /an I\/O error/);
    assert.equal(storage.openCount, 0);
  }
  const count = folder.names("tracker.events.").length;
  const all: string[] = [];
  const watched = new FaultyStorage();
  await checkManifests(folder.path, {
    storage: watched,
    onProgress: ({ done, total }) => all.push(`${done} of ${total}`),
  });
  assert.deepEqual(all, Array.from({ length: count }, (_, done) => `${done} of ${count}`));
  assert.equal(watched.openCount, 0);
  const stop = new AbortController();
  const storage = new FaultyStorage();
  let calls = 0;
  const checking = checkManifests(folder.path, {
    storage,
    signal: stop.signal,
    onProgress() {
      if (++calls === 2) stop.abort(new Error("enough"));
    },
  });
  await assert.rejects(checking, /enough/);
  assert.equal(calls, 2);
  assert.equal(storage.openCount, 0);
});

Deno.test("checkManifests() detects a manifest whose offsets or line count differ from its segment's", async () => {
  using folder = await segmentsOf(5);
  const last = folder.names("tracker.manifest.").length;
  const original = manifestOf(folder, last);
  const [share] = original.partitions;
  const lies: Partial<ManifestBody>[] = [
    { segment: { ...original.segment, lines: original.segment.lines + 1 } },
    { partitions: original.partitions.slice(1) },
    {
      partitions: original.partitions.concat(
        original.partitions.slice(0, 1).map((share) => ({ ...share, partition: 9 })),
      ),
    },
    ...(share === undefined
      ? []
      : [{ partitions: [{ ...share, last_offset: 1_000 }, ...original.partitions.slice(1)] }]),
  ];
  for (const lie of lies) {
    const body = JSON.stringify({ ...original, ...lie });
    const sha256 = createHash("sha256").update(body).digest("hex");
    Deno.writeTextFileSync(
      folder.file(nameOf("manifest", last)),
      `{"version":1,"sha256":"${sha256}","body":${body}}\n`,
    );
    assert.match((await problemsIn(folder))[0]?.[1] ?? "", /its manifest is wrong/);
  }
});

Deno.test("a line that was damaged before its segment was closed is not reported as a manifest problem", async () => {
  using folder = new TestFolder();
  {
    await using it = await opened(folder, ROTATE);
    await it.journal.append(appendOf(0, { start: 0, end: 2 }));
  }
  const text = Deno.readTextFileSync(folder.active);
  Deno.writeTextFileSync(folder.active, text.replace('"raw_message":"', '"raw_message":#"'));
  Deno.removeSync(folder.checkpoint);
  await using it = await opened(folder, ROTATE);
  await it.journal.append(appendOf(0, { start: 2, end: 4 }));
  await it.journal.close();
  assert.equal(manifestOf(folder, 1).partitions[0]?.records, 1);
  assert.deepEqual(await problemsIn(folder), []);
});

Deno.test("a manifest does not count lines that are not records, even if they were appended as records", async () => {
  using folder = new TestFolder();
  {
    await using it = await opened(folder, ROTATE);
    await it.journal.append(appendOf(0, { start: 0, end: 1 }));
    const foreign = { ...encodedLines(["hello\n"]), intervals: [{ start: 1, end: 2 }] };
    await it.journal.append({ ...partition(0), epochs: [], ...foreign });
    await it.journal.append(appendOf(0, { start: 2, end: 4 }));
  }
  const { segment, partitions } = manifestOf(folder, 1);
  assert.deepEqual([segment.lines, partitions[0]?.records, partitions[0]?.held], [2, 1, [[0, 1]]]);
  assert.deepEqual(await problemsIn(folder), []);
});

Deno.test("a manifest lists offsets held without a line, which is not a problem", async () => {
  using folder = new TestFolder();
  {
    await using it = await opened(folder, ROTATE);
    const nothing = { ...partition(1), lines: new Uint8Array(), lineEnds: [] };
    await it.journal.append({ ...nothing, epochs: [], intervals: [{ start: 3, end: 9 }] });
    await it.journal.append(appendOf(0, { start: 0, end: 2 }));
    await it.journal.append(appendOf(0, { start: 2, end: 4 }));
  }
  const shares = manifestOf(folder, 1).partitions.map(({ records, held }) => ({ records, held }));
  assert.deepEqual(shares, [{ records: 2, held: [[0, 2]] }, { records: 0, held: [[3, 9]] }]);
  assert.deepEqual(await problemsIn(folder), []);
});

Deno.test("a segment without a manifest yet is distinguished from one whose manifest was removed", async () => {
  using folder = await segmentsOf(12);
  const last = folder.names("tracker.manifest.").length;
  Deno.removeSync(folder.file(nameOf("manifest", last)));
  const { segments } = await checkManifests(folder.path);
  assert.deepEqual(segments.at(-1), {
    name: nameOf("events", last),
    state: "unsealed",
    ok: true,
    reason: "it has no manifest yet: a running tracker writes it",
  });
});

Deno.test("without a checkpoint, manifests replace reading the closed segments that match them", async () => {
  using folder = await segmentsOf(14);
  const expected = heldSorted(folder);
  const manifestCount = folder.names("tracker.manifest.").length;
  Deno.removeSync(folder.checkpoint);
  const name = folder.file(nameOf("events", 1));
  {
    await using it = await opened(folder);
    assert.deepEqual(heldNames(it.journal, 2).sort(), expected);
    const [rebuilt] = it.noticesOf("rebuilt");
    assert.equal(rebuilt?.manifestCount, manifestCount);
    assert.ok((rebuilt?.lineCount ?? 99) <= 3, "only the active segment is read");
  }
  Deno.removeSync(folder.checkpoint);
  // The same size but other records: partition 0 has only even offsets.
  const other = lineOf(partition(0), 1) + lineOf(partition(0), 3);
  assert.equal(other.length, Deno.statSync(name).size);
  Deno.writeTextFileSync(name, other);
  await using it = await opened(folder);
  assert.equal(it.noticesOf("rebuilt")[0]?.manifestCount, manifestCount - 1);
  assert.ok(
    it.journal.holds({ ...partition(0), offset: 3 }),
    "a segment that does not match is read",
  );
  assert.ok(!it.journal.holds({ ...partition(0), offset: 0 }));
});

Deno.test("without a checkpoint, a segment is read if its size, first line, or end differs from its manifest", async () => {
  // Three lines per segment, so large that the first is outside the part that identifies the end.
  using whole = new TestFolder();
  {
    await using it = await opened(whole, { rotateBytes: 10_000 });
    for (let start = 10; start < 20; start++) {
      await it.journal.append(appendOf(0, { start, end: start + 1 }, "x".repeat(2_800)));
    }
  }
  const manifestCount = whole.names("tracker.manifest.").length;
  const movedBy10 = (line: string) => line.replace('"kafka_offset":1', '"kafka_offset":2');
  const changes: Readonly<Record<string, (lines: readonly string[]) => readonly string[]>> = {
    "another first line": ([first = "", ...lines]) => [movedBy10(first), ...lines],
    "another last line": (lines) => [...lines.slice(0, -2), movedBy10(lines.at(-2) ?? ""), ""],
    "an additional line": (lines) => [...lines.slice(0, -1), ...lines],
    "a line removed": (lines) => lines.slice(1),
  };
  using folder = new TestFolder();
  for (const [name, change] of Object.entries(changes)) {
    folder.copyFrom(whole);
    Deno.removeSync(folder.checkpoint);
    const path = folder.file(nameOf("events", 1));
    const text = Deno.readTextFileSync(path);
    Deno.writeTextFileSync(path, change(text.split("\n")).join("\n"));
    await using it = await opened(folder);
    assert.equal(it.noticesOf("rebuilt")[0]?.manifestCount, manifestCount - 1, name);
    const held = new Set(recordsInFolder(folder).records);
    assert.deepEqual(new Set(heldNames(it.journal, 1)), held, name);
  }
});

Deno.test("without a checkpoint, a segment with a damaged manifest is read, and a disk error is thrown", async () => {
  using folder = await segmentsOf(14);
  const expected = heldSorted(folder);
  const manifestCount = folder.names("tracker.manifest.").length;
  Deno.removeSync(folder.checkpoint);
  const manifest = folder.file(nameOf("manifest", 2));
  const whole = Deno.readFileSync(manifest);
  const storage = new FaultyStorage();
  const { open } = storage;
  storage.open = (path, mode) =>
    path === manifest ? Promise.reject(new Error("an I/O error")) : open.call(storage, path, mode);
  await assert.rejects(opened(folder, { storage }), /an I\/O error/);
  assert.equal(storage.openCount, 0);
  storage.open = open;
  for (const damaged of [whole.subarray(0, 200), whole.with(150, 0xff), new Uint8Array()]) {
    Deno.writeFileSync(manifest, damaged);
    if (folder.names("tracker.checkpoint").length > 0) Deno.removeSync(folder.checkpoint);
    {
      await using it = await opened(folder, { storage });
      assert.deepEqual(heldNames(it.journal, 2).sort(), expected);
      assert.equal(it.noticesOf("rebuilt")[0]?.manifestCount, manifestCount - 1);
    }
    assert.equal(storage.openCount, 0);
  }
});

function heldSorted(folder: TestFolder): string[] {
  return [...recordsInFolder(folder).records].sort();
}

Deno.test("an unwritable manifest does not delay the journal; it is reported once and written later", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  const { open } = storage;
  let isFull = true;
  storage.open = (path, mode) => {
    if (isFull && mode === "replace" && path.includes("manifest")) throw diskFull();
    return open.call(storage, path, mode);
  };
  await using it = await opened(folder, { ...ROTATE, storage, clock: fastClock() });
  for (let start = 0; start < 9; start++) {
    await it.journal.append(appendOf(0, { start, end: start + 1 }));
  }
  assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 0, end: 9 }));
  await until(() => it.noticesOf("upkeep failed").length > 0);
  assert.deepEqual(it.noticesOf("sealed"), []);
  isFull = false;
  for (let start = 9; start < 15; start++) {
    await it.journal.append(appendOf(0, { start, end: start + 1 }));
  }
  await it.journal.close();
  assert.equal(it.noticesOf("upkeep failed").length, 1);
  assert.equal(folder.names("tracker.manifest.").length, folder.names("tracker.events.").length);
  assert.deepEqual(await problemsIn(folder), []);
});
