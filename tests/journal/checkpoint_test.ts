import assert from "node:assert/strict";
import {
  type Checkpoint,
  decodeCheckpoint,
  encodeCheckpoint,
  readCheckpoint,
  writeCheckpoint,
} from "../../lib/journal/checkpoint.ts";
import { HeldOffsets } from "../../lib/journal/held_offsets.ts";
import { encodeSealed } from "../../lib/journal/sealed_text.ts";
import { denoStorage } from "../../lib/journal/storage.ts";
import { partition, TestFolder } from "./fixture.ts";

function example(): { checkpoint: Checkpoint; text: string } {
  const held = new HeldOffsets();
  held.add(partition(0), { start: 0, end: 10 });
  held.add(partition(0), { start: 20, end: 30 }, [
    { epoch: 4, start: 20 },
    { epoch: undefined, start: 24 },
    { epoch: 6, start: 27 },
  ]);
  held.add({ topic: 'a "quoted" }} topic', topicId: "", partition: 7 }, { start: 1, end: 2 });
  const checkpoint: Checkpoint = {
    journalId: "4f0c2c1e-7c1f-4c1b-9d5e-0d6f4f2b8a11",
    segment: 3,
    position: 1234,
    fingerprint: { headSha256: "aa", tailSha256: "bb" },
    closed: [{ number: 1, bytes: 10 }, { number: 2, bytes: 20 }],
    held,
    active: {
      lines: 3,
      partitions: [{
        topic: "orders",
        topic_id: "an id",
        partition: 0,
        records: 2,
        first_offset: 7,
        last_offset: 8,
        held: [[7, 9]],
      }],
      leader_epochs: [{
        topic: "orders",
        topic_id: "an id",
        partition: 0,
        starts: [[6, 7]],
        superseded: [[3, 7]],
      }],
    },
  };
  return { checkpoint, text: encodeCheckpoint(checkpoint, new Date(0)) };
}

Deno.test("decodeCheckpoint() decodes what encodeCheckpoint() encoded", () => {
  const { checkpoint, text } = example();
  const { held, ...rest } = decodeCheckpoint(text);
  const { held: expectedHeld, ...expected } = checkpoint;
  assert.deepEqual(rest, expected);
  assert.equal(held.countNotIn(expectedHeld) + expectedHeld.countNotIn(held), 0);
  assert.deepEqual(held.epochsOf(partition(0)), expectedHeld.epochsOf(partition(0)));
  assert.equal(held.lastEpochOf(partition(0)), 6);
  JSON.parse(text);
});

Deno.test("decodeCheckpoint() decodes version 1, which has no leader epochs", () => {
  const text = Deno.readTextFileSync(
    new URL("../fixtures/journal/build-3a9cbbd/tracker.checkpoint", import.meta.url),
  );
  const { held, segment, active } = decodeCheckpoint(text);
  assert.deepEqual(held.of(partition(0)).intervals, [{ start: 0, end: 30 }]);
  assert.deepEqual(held.epochsOf(partition(0)), []);
  assert.equal(segment, 9);
  assert.equal(active?.lines, 2);
});

Deno.test("decodeCheckpoint() refuses text cut at any byte, or with any byte changed", () => {
  const { text } = example();
  for (let at = 0; at < text.length; at++) {
    assert.throws(() => decodeCheckpoint(text.slice(0, at)), SyntaxError);
    const changed = text.slice(0, at) + (text[at] === "0" ? "1" : "0") + text.slice(at + 1);
    assert.throws(() => decodeCheckpoint(changed), SyntaxError);
  }
});

Deno.test("decodeCheckpoint() refuses an unknown version, and names it", () => {
  const text = example().text.replace('"version":2', '"version":3');
  assert.throws(() => decodeCheckpoint(text), /its version is 3, expected 1 to 2/);
});

Deno.test("readCheckpoint() treats a file that it cannot decode as damaged, whatever the cause", async () => {
  using folder = new TestFolder();
  const read = () => readCheckpoint(denoStorage, folder.path);
  assert.deepEqual(await read(), { kind: "missing" });
  const { checkpoint, text } = example();
  Deno.writeTextFileSync(folder.checkpoint, text);
  assert.equal((await read()).kind, "read");
  const bytes = new TextEncoder().encode(text);
  const body = JSON.parse(text).body;
  const damaged = [
    new Uint8Array(),
    bytes.with(100, 0xff),
    // Sealed like ours, but with an unknown structure.
    encoded(encodeSealed({}, { version: 1 })),
    encoded(encodeSealed({ ...body, topics: null }, { version: 1 })),
    encoded(encodeSealed({ ...body, topics: [topicWith([5, 5])] }, { version: 1 })),
    encoded(encodeSealed({ ...body, topics: [topicWith([-1, 5])] }, { version: 1 })),
  ];
  for (const bytes of damaged) {
    Deno.writeFileSync(folder.checkpoint, bytes);
    const found = await read();
    assert.ok(found.kind === "damaged" && found.reason !== "", new TextDecoder().decode(bytes));
  }
  // A disk error does not mean a damaged checkpoint.
  const failing = { ...denoStorage, open: () => Promise.reject(new Error("an I/O error")) };
  await assert.rejects(readCheckpoint(failing, folder.path), /an I\/O error/);
  await writeCheckpoint(denoStorage, folder.path, encodeCheckpoint(checkpoint, new Date()));
  assert.equal((await read()).kind, "read");
});

function encoded(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function topicWith(interval: readonly [number, number]) {
  return { id: "", name: "orders", partitions: [{ partition: 0, intervals: [interval] }] };
}
