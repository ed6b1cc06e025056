import assert from "node:assert/strict";
import {
  appendOf,
  FaultyStorage,
  heldNames,
  lineOf,
  namesOf,
  opened,
  partition,
  recordsIn,
  recordsInFolder,
  TestFolder,
  until,
} from "./fixture.ts";

/** Creates a folder with a closed journal of `count` records of partition 0. */
async function journalOf(
  count: number,
  options: { readonly rotateBytes?: number } = {},
): Promise<TestFolder> {
  const folder = new TestFolder();
  await using it = await opened(folder, options);
  for (let start = 0; start < count; start++) {
    await it.journal.append(appendOf(0, { start, end: start + 1 }));
  }
  return folder;
}

/** Does the same as `journalOf`, but with the checkpoint from when there were only `checkpointAt` records. */
async function journalPastCheckpoint(
  checkpointAt: number,
  count: number,
  options: { readonly rotateBytes?: number } = {},
): Promise<TestFolder> {
  const folder = await journalOf(checkpointAt, options);
  const checkpoint = Deno.readFileSync(folder.checkpoint);
  {
    await using it = await opened(folder, options);
    await it.journal.append(appendOf(0, { start: checkpointAt, end: count }));
  }
  Deno.writeFileSync(folder.checkpoint, checkpoint);
  return folder;
}

/** The short form omits three of four bytes in the middle of a line, different ones each time. */
const STEP = Deno.env.get("ORDERFLOW_FAULTS") === "long" ? 1 : 4;
const EDGE_BYTES = 16;

for (const checkpoint of ["old", "missing"] as const) {
  Deno.test(`a journal cut at any byte of its last two lines keeps the complete ones (checkpoint ${checkpoint})`, async () => {
    using whole = await journalPastCheckpoint(2, 5);
    if (checkpoint === "missing") Deno.removeSync(whole.checkpoint);
    const bytes = Deno.readFileSync(whole.active);
    const lineBytes = lineOf(partition(0), 0).length;
    assert.equal(bytes.length, 5 * lineBytes);
    using folder = new TestFolder();
    const phase = Math.floor(Math.random() * STEP);
    for (let length = 3 * lineBytes; length <= bytes.length; length++) {
      const inLine = length % lineBytes;
      const isAtEdge = Math.min(inLine, lineBytes - inLine) <= EDGE_BYTES;
      if (!isAtEdge && length % STEP !== phase) continue;
      folder.copyFrom(whole);
      Deno.truncateSync(folder.active, length);
      const lineCount = Math.floor(length / lineBytes);
      await using it = await opened(folder);
      assert.deepEqual(
        heldNames(it.journal, 1),
        namesOf(0, { start: 0, end: lineCount }),
        `length ${length}`,
      );
      const torn = length - lineCount * lineBytes;
      assert.deepEqual(it.noticesOf("cut").map(({ bytes }) => bytes), torn === 0 ? [] : [torn]);
      for (const { savedAs, position } of it.noticesOf("cut")) {
        assert.deepEqual(Deno.readFileSync(savedAs), bytes.subarray(position, length));
        assert.equal((Deno.statSync(savedAs).mode ?? 0) & 0o777, 0o600);
      }
      // The records that were cut are appended again, and are there once.
      if (length % 10 !== 0) continue;
      if (lineCount < 5) await it.journal.append(appendOf(0, { start: lineCount, end: 5 }));
      assert.deepEqual(Deno.readFileSync(folder.active), bytes);
    }
  });

  Deno.test(`a tail of zeros is cut, whatever its length (checkpoint ${checkpoint})`, async () => {
    for (const zeroCount of [1, 100, 4096, 5_000_000]) {
      using folder = await journalPastCheckpoint(2, 4);
      if (checkpoint === "missing") Deno.removeSync(folder.checkpoint);
      const bytes = Deno.readFileSync(folder.active);
      Deno.writeFileSync(folder.active, new Uint8Array(zeroCount), { append: true });
      await using it = await opened(folder);
      assert.deepEqual(it.noticesOf("cut").map(({ bytes }) => bytes), [zeroCount]);
      assert.deepEqual(it.noticesOf("foreign lines"), []);
      assert.deepEqual(Deno.readFileSync(folder.active), bytes);
      assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 4 }));
    }
  });
}

Deno.test("zeros within the unflushed part are cut with all that follows, because none of it was acknowledged", async () => {
  using folder = await journalPastCheckpoint(2, 6);
  const bytes = Deno.readFileSync(folder.active);
  const lineBytes = bytes.length / 6;
  bytes.fill(0, 3.2 * lineBytes, 3.9 * lineBytes);
  Deno.writeFileSync(folder.active, bytes);
  await using it = await opened(folder);
  assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 3 }));
  assert.equal(Deno.statSync(folder.active).size, 3 * lineBytes);
  await it.journal.append(appendOf(0, { start: 3, end: 6 }));
  assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 0, end: 6 }));
});

Deno.test("a journal with a valid checkpoint is read only from the checkpoint's position", async () => {
  using folder = await journalOf(100);
  {
    // A line before that position is damaged, which reading it would reveal.
    const text = Deno.readTextFileSync(folder.active);
    const at = 50 * lineOf(partition(0), 10).length;
    Deno.writeTextFileSync(folder.active, text.slice(0, at) + "#" + text.slice(at + 1));
  }
  await using it = await opened(folder);
  assert.deepEqual(it.notices, []);
  assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 100 }));
});

Deno.test("an old checkpoint costs only reading time", async () => {
  using folder = await journalPastCheckpoint(3, 20);
  await using it = await opened(folder);
  assert.deepEqual(it.notices, []);
  assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 20 }));
});

Deno.test("an old checkpoint remains valid across rotations", async () => {
  using folder = await journalPastCheckpoint(3, 4, { rotateBytes: 700 });
  const checkpoint = Deno.readFileSync(folder.checkpoint);
  {
    await using it = await opened(folder, { rotateBytes: 700 });
    for (let start = 4; start < 20; start++) {
      await it.journal.append(appendOf(0, { start, end: start + 1 }));
    }
    assert.ok(it.noticesOf("rotated").length > 3);
  }
  Deno.writeFileSync(folder.checkpoint, checkpoint);
  await using it = await opened(folder);
  assert.deepEqual(it.notices, []);
  assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 20 }));
});

Deno.test("a checkpoint torn at any byte is rebuilt from the lines, with a new journal id", async () => {
  using whole = await journalOf(3);
  const checkpoint = Deno.readFileSync(whole.checkpoint);
  const { body: { journal: oldId } } = JSON.parse(new TextDecoder().decode(checkpoint));
  using folder = new TestFolder();
  for (let length = 0; length < checkpoint.length; length += 7) {
    folder.copyFrom(whole);
    Deno.writeFileSync(folder.checkpoint, checkpoint.subarray(0, length));
    await using it = await opened(folder);
    assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 3 }));
    const [rebuilt] = it.noticesOf("rebuilt");
    assert.match(rebuilt?.reason ?? "", /damaged/);
    assert.equal(rebuilt?.lineCount, 3);
    assert.equal(rebuilt?.newId, true);
    assert.notEqual(it.journal.id, oldId);
  }
});

Deno.test("a journal keeps its id across clean restarts, and gets a new one if its checkpoint is lost", async () => {
  using folder = await journalOf(3);
  const ids: string[] = [];
  for (let round = 0; round < 3; round++) {
    if (round === 2) Deno.removeSync(folder.checkpoint);
    await using it = await opened(folder);
    ids.push(it.journal.id);
  }
  assert.equal(ids[0], ids[1]);
  assert.notEqual(ids[1], ids[2]);
});

Deno.test("a checkpoint from another journal is rejected", async () => {
  using other = await journalOf(9);
  using folder = new TestFolder();
  {
    await using it = await opened(folder);
    await it.journal.append(appendOf(1, { start: 0, end: 12 }, "another value"));
  }
  Deno.copyFileSync(other.checkpoint, folder.checkpoint);
  await using it = await opened(folder);
  assert.match(it.noticesOf("rebuilt")[0]?.reason ?? "", /another journal/);
  const { body } = JSON.parse(Deno.readTextFileSync(other.checkpoint));
  assert.notEqual(it.journal.id, body.journal);
  assert.equal(it.noticesOf("rebuilt")[0]?.newId, true);
  assert.deepEqual(heldNames(it.journal, 2), namesOf(1, { start: 0, end: 12 }));
});

Deno.test("a checkpoint that covers more than the files is rejected, and the id is kept", async () => {
  using folder = await journalOf(5);
  const { size } = Deno.statSync(folder.active);
  const { body: { journal: id } } = JSON.parse(Deno.readTextFileSync(folder.checkpoint));
  Deno.truncateSync(folder.active, size * 3 / 5);
  await using it = await opened(folder);
  assert.match(it.noticesOf("rebuilt")[0]?.reason ?? "", /covers \d+ bytes, and the journal has/);
  assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 3 }));
  assert.equal(it.journal.id, id);
});

Deno.test("a journal whose lines moved before the checkpoint's position is reread", async () => {
  using folder = await journalOf(5);
  const text = Deno.readTextFileSync(folder.active);
  const lines = text.split("\n");
  lines.splice(3, 0, "someone's note");
  Deno.writeTextFileSync(folder.active, lines.join("\n"));
  await using it = await opened(folder);
  assert.match(it.noticesOf("rebuilt")[0]?.reason ?? "", /changed before the checkpoint/);
  assert.equal(it.noticesOf("foreign lines")[0]?.lineCount, 1);
  assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 5 }));
});

Deno.test("a journal whose files are gone holds nothing, with or without a checkpoint", async () => {
  for (const rotateBytes of [10_000, 700]) {
    using folder = await journalOf(7, { rotateBytes });
    for (const name of folder.names("tracker.events")) Deno.removeSync(folder.file(name));
    await using it = await opened(folder);
    assert.deepEqual(it.noticesOf("rebuilt").map(({ newId }) => newId), [true]);
    assert.equal(it.journal.end(partition(0)), undefined);
  }
});

Deno.test("a folder with only closed segments is not treated as a new journal", async () => {
  using folder = await journalOf(7, { rotateBytes: 700 });
  for (const path of [folder.active, folder.checkpoint]) Deno.removeSync(path);
  const { records } = recordsInClosed(folder);
  await using it = await opened(folder);
  assert.deepEqual(it.notices.map(({ kind }) => kind), ["rebuilt"]);
  assert.deepEqual(heldNames(it.journal, 1), records);
});

Deno.test("the records of a missing closed segment are no longer held", async () => {
  using folder = await journalOf(7, { rotateBytes: 700 });
  Deno.removeSync(folder.file("tracker.events.000001"));
  await using it = await opened(folder);
  assert.match(it.noticesOf("rebuilt")[0]?.reason ?? "", /segment 1,.* is missing/);
  assert.deepEqual(heldNames(it.journal, 1).sort(), [...recordsInFolder(folder).records].sort());
});

Deno.test("a closed segment whose size differs from the checkpoint is reread", async () => {
  const line = lineOf(partition(0), 90);
  const changes: readonly ((text: string) => string)[] = [
    (text) => text + line,
    (text) => text.slice(0, text.indexOf("\n") + 1),
  ];
  for (const change of changes) {
    using folder = await journalOf(7, { rotateBytes: 700 });
    const path = folder.file("tracker.events.000001");
    Deno.writeTextFileSync(path, change(Deno.readTextFileSync(path)));
    await using it = await opened(folder);
    assert.match(it.noticesOf("rebuilt")[0]?.reason ?? "", /segment 1 has \d+ bytes, but had \d+/);
    assert.deepEqual(heldNames(it.journal, 1).sort(), [...recordsInFolder(folder).records].sort());
  }
});

Deno.test("foreign lines followed by records are kept and counted, and do no harm", async () => {
  const foreign = ["hello", "", "{}", '{"kafka_topic":"orders"}', '{"kafka_offset":'];
  using folder = await journalPastCheckpoint(2, 3);
  const before = Deno.readTextFileSync(folder.active);
  const text = before + foreign.join("\n") + "\n" + lineOf(partition(0), 3) +
    lineOf(partition(0), 4);
  Deno.writeTextFileSync(folder.active, text);
  await using it = await opened(folder);
  assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 5 }));
  const { lineCount, firstPosition } = it.noticesOf("foreign lines")[0] ?? {};
  assert.deepEqual({ lineCount, firstPosition }, { lineCount: 5, firstPosition: before.length });
  assert.equal(Deno.readTextFileSync(folder.active), text);
});

Deno.test("a line with an impossible offset or partition does not keep the journal from opening", async () => {
  const foreign = [-1, Number.MAX_SAFE_INTEGER, 0.5, 1e300].flatMap((number) => [
    lineOf(partition(0), number),
    ...(number === Number.MAX_SAFE_INTEGER ? [] : [lineOf(partition(number), 0)]),
  ]);
  for (const line of foreign) {
    for (const where of ["active", "closed"] as const) {
      using folder = await journalOf(2);
      Deno.removeSync(folder.checkpoint);
      const text = line + lineOf(partition(0), 2);
      Deno.writeTextFileSync(folder.active, text, { append: true });
      if (where === "closed") Deno.renameSync(folder.active, folder.file("tracker.events.000001"));
      await using it = await opened(folder);
      assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 3 }), line);
      assert.equal(it.noticesOf("foreign lines")[0]?.lineCount, 1, line);
    }
  }
});

Deno.test("foreign lines after the last record are moved out of the journal", async () => {
  using folder = await journalOf(3);
  const before = Deno.readTextFileSync(folder.active);
  Deno.writeTextFileSync(folder.active, "hello\nworld\n", { append: true });
  await using it = await opened(folder);
  assert.equal(Deno.readTextFileSync(folder.active), before);
  assert.equal(Deno.readTextFileSync(it.noticesOf("cut")[0]?.savedAs ?? ""), "hello\nworld\n");
  assert.deepEqual(it.noticesOf("foreign lines"), []);
});

Deno.test("without a checkpoint only torn data are cut, and complete foreign lines are kept", async () => {
  using folder = new TestFolder();
  const text = "a\n" + lineOf(partition(0), 0) + "\0\0\n" + lineOf(partition(0), 1) + "b\n";
  Deno.writeTextFileSync(folder.active, text + "\0\0\nc\n{");
  await using it = await opened(folder);
  assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 2 }));
  assert.equal(Deno.readTextFileSync(folder.active), text);
  assert.equal(Deno.readTextFileSync(it.noticesOf("cut")[0]?.savedAs ?? ""), "\0\0\nc\n{");
  const { lineCount, firstPosition } = it.noticesOf("foreign lines")[0] ?? {};
  assert.deepEqual({ lineCount, firstPosition }, { lineCount: 3, firstPosition: 0 });
});

Deno.test("without a checkpoint complete foreign lines at the end are also kept, and counted", async () => {
  using folder = new TestFolder();
  const text = lineOf(partition(0), 0) + "a\nb\n";
  Deno.writeTextFileSync(folder.active, text);
  await using it = await opened(folder);
  assert.equal(Deno.readTextFileSync(folder.active), text);
  assert.deepEqual(it.noticesOf("cut"), []);
  const { lineCount, firstPosition } = it.noticesOf("foreign lines")[0] ?? {};
  assert.deepEqual({ lineCount, firstPosition }, { lineCount: 2, firstPosition: text.length - 4 });
});

Deno.test("a journal that was created but never written to keeps its id without its file", async () => {
  using folder = await journalOf(0);
  const { body } = JSON.parse(Deno.readTextFileSync(folder.checkpoint));
  Deno.removeSync(folder.active);
  await using it = await opened(folder);
  assert.deepEqual(it.notices, []);
  assert.equal(it.journal.id, body.journal);
});

Deno.test("opening a journal leaves only its own files open, whatever is repaired", async () => {
  const states: Readonly<Record<string, (folder: TestFolder) => void>> = {
    "as it was": () => {},
    "no checkpoint": (folder) => Deno.removeSync(folder.checkpoint),
    "no file": (folder) => Deno.removeSync(folder.active),
    "cut short": (folder) => Deno.truncateSync(folder.active, 10),
    "a torn end": (folder) => Deno.writeTextFileSync(folder.active, "{", { append: true }),
    "another journal's checkpoint": (folder) =>
      Deno.writeTextFileSync(folder.active, lineOf(partition(3), 1)),
    "no manifests": (folder) => {
      Deno.removeSync(folder.checkpoint);
      for (const name of folder.names("tracker.manifest.")) Deno.removeSync(folder.file(name));
    },
  };
  for (const [name, change] of Object.entries(states)) {
    using folder = await journalOf(7, { rotateBytes: 700 });
    change(folder);
    const storage = new FaultyStorage();
    {
      await using _it = await opened(folder, { storage });
      // Manifests may be in progress.
      await until(() => storage.openCount === 2);
    }
    assert.equal(storage.openCount, 0, name);
  }
});

Deno.test("a journal of the founding project's tracker, whose lines have no topic id, is continued", async () => {
  using folder = new TestFolder();
  const old = { topic: "orders", topicId: "", partition: 0 };
  Deno.writeTextFileSync(folder.active, lineOf(old, 0) + lineOf(old, 1));
  await using it = await opened(folder);
  assert.equal(it.journal.end(old), 2);
  assert.equal(it.journal.end(partition(0)), undefined);
  assert.deepEqual(it.noticesOf("rebuilt").map(({ reason }) => reason), ["there is no checkpoint"]);
});

Deno.test("an order that contains the journal's own field names does not confuse the rebuild", async () => {
  using folder = new TestFolder();
  const line = lineOf(partition(0), 5).replace(
    '"deserialized":false',
    '"deserialized":true,"order_full":{"kafka_topic_id":"x","kafka_partition":9,"kafka_offset":77}',
  );
  assert.ok(line.includes("77"));
  Deno.writeTextFileSync(folder.active, line);
  await using it = await opened(folder);
  assert.deepEqual(heldNames(it.journal, 1), ["0:5"]);
  assert.equal(it.journal.end({ ...partition(9), topicId: "x" }), undefined);
});

Deno.test("a record that is in the journal twice is reported", async () => {
  using folder = new TestFolder();
  Deno.writeTextFileSync(folder.active, lineOf(partition(0), 0) + lineOf(partition(0), 0));
  await using it = await opened(folder);
  assert.equal(it.noticesOf("repeated lines")[0]?.lineCount, 1);
});

Deno.test("lines longer than the read buffer are read completely", async () => {
  using folder = new TestFolder();
  const long = "x".repeat(5_000_000);
  const text = [0, 1, 2].map((offset) => lineOf(partition(0), offset, long)).join("");
  Deno.writeTextFileSync(folder.active, text);
  await using it = await opened(folder);
  assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end: 3 }));
  assert.equal(Deno.statSync(folder.active).size, text.length);
});

Deno.test("a crash between any two steps of a rotation loses and repeats nothing", async () => {
  const steps: readonly ((folder: TestFolder) => void)[] = [
    (folder) => Deno.renameSync(folder.active, folder.file("tracker.events.000001")),
    (folder) => {
      Deno.renameSync(folder.active, folder.file("tracker.events.000001"));
      Deno.writeFileSync(folder.active, new Uint8Array(), { mode: 0o600 });
    },
    (folder) => {
      Deno.renameSync(folder.active, folder.file("tracker.events.000001"));
      Deno.writeTextFileSync(folder.active, lineOf(partition(0), 6));
    },
  ];
  for (const [index, step] of steps.entries()) {
    using folder = await journalPastCheckpoint(3, 6);
    step(folder);
    await using it = await opened(folder);
    const end = index === 2 ? 7 : 6;
    assert.deepEqual(it.notices, []);
    assert.deepEqual(heldNames(it.journal, 1), namesOf(0, { start: 0, end }));
    await it.journal.append(appendOf(0, { start: end, end: 9 }));
    assert.deepEqual(recordsInFolder(folder).records, namesOf(0, { start: 0, end: 9 }));
  }
});

function recordsInClosed(folder: TestFolder) {
  const names = folder.names("tracker.events.");
  return recordsIn(names.map((name) => Deno.readTextFileSync(folder.file(name))));
}
