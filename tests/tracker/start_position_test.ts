import assert from "node:assert/strict";
import type { PartitionStart } from "../../lib/kafka/consumer.ts";
import {
  formatCommitNote,
  parseCommitNote,
  startPosition,
} from "../../lib/tracker/start_position.ts";
import { firstGap, type Interval } from "../../lib/tracker/journal/intervals.ts";

const OURS = "our-journal";
const TOPIC_ID = "aa";

interface Given {
  readonly low?: number;
  readonly high?: number;
  readonly commit?: number;
  readonly note?: { journalId: string; topicId: string } | "none";
  readonly held?: readonly Interval[];
}

function decide({ low = 0, high = 100, commit, note, held = [] }: Given) {
  const start: PartitionStart = {
    partition: 0,
    low,
    high,
    committed: commit === undefined ? undefined : {
      partition: 0,
      offset: commit,
      metadata: note === "none" || note === undefined ? null : formatCommitNote(note),
    },
  };
  return startPosition({
    start,
    topicId: TOPIC_ID,
    journalId: OURS,
    journaled: { end: held.at(-1)?.end, firstGap: (from) => firstGap(held, from) },
  });
}

const ownNote = { journalId: OURS, topicId: TOPIC_ID };

Deno.test("a commit's note is read back, and another program's metadata is none", () => {
  assert.deepEqual(parseCommitNote(formatCommitNote(ownNote)), ownNote);
  for (const metadata of [null, "", "something", "orderflow:", "orderflow:x"]) {
    assert.equal(parseCommitNote(metadata), undefined);
  }
});

Deno.test("the first start reads from the first offset that is there", () => {
  assert.deepEqual(decide({ low: 7 }), { offset: 7 });
});

Deno.test("our own commit is where to read on, also where the journal is ahead of it", () => {
  assert.deepEqual(decide({ commit: 50, note: ownNote, held: [{ start: 0, end: 50 }] }), {
    offset: 50,
  });
  assert.deepEqual(decide({ commit: 50, note: ownNote, held: [{ start: 0, end: 60 }] }), {
    offset: 50,
  });
});

Deno.test("a journal that ends before our own commit is read on from its end, and says so", () => {
  const { offset, mark } = decide({ commit: 50, note: ownNote, held: [{ start: 0, end: 30 }] });
  assert.equal(offset, 30);
  assert.match(mark ?? "", /ends before the committed offset 50/);
});

Deno.test("another tracker's commit is where to read on", () => {
  const note = { journalId: "another", topicId: TOPIC_ID };
  assert.deepEqual(decide({ commit: 80, note, held: [{ start: 0, end: 50 }] }), { offset: 80 });
  assert.deepEqual(decide({ commit: 80, note }), { offset: 80 });
});

Deno.test("a topic created again is read from its beginning, and says so", () => {
  const { offset, mark } = decide({ commit: 50, note: { journalId: OURS, topicId: "bb" } });
  assert.equal(offset, 0);
  assert.match(mark ?? "", /created again/);
});

Deno.test("a group that an operator reset goes on from the lower of commit and journal end", () => {
  const held = [{ start: 0, end: 50 }];
  const back = decide({ commit: 10, note: "none", held });
  const forth = decide({ commit: 90, note: "none", held });
  assert.deepEqual([back.offset, forth.offset], [10, 50]);
  assert.match(back.mark ?? "", /reset to offset 10/);
  assert.match(forth.mark ?? "", /reset to offset 90/);
});

Deno.test("another program's commit is read on from, and marked, where the journal holds nothing of the partition", () => {
  const mark = "offset 40 was committed by another program: reading on from it";
  assert.deepEqual(decide({ commit: 40, note: "none" }), { offset: 40, mark });
});

Deno.test("without a commit but with a journal it reads on from the first offset not held", () => {
  const { offset, mark } = decide({ held: [{ start: 0, end: 20 }, { start: 30, end: 50 }] });
  assert.equal(offset, 20);
  assert.match(mark ?? "", /no committed offset/);
});

Deno.test("offsets deleted before they were read are named, those already held are not missed", () => {
  const missed = decide({ low: 40, commit: 10, note: ownNote, held: [{ start: 0, end: 10 }] });
  assert.equal(missed.offset, 40);
  assert.match(missed.mark ?? "", /offsets 10 to 39 were deleted before they were read/);
  assert.deepEqual(
    decide({ low: 40, commit: 10, note: "none", held: [{ start: 0, end: 60 }] }).offset,
    40,
  );
});

Deno.test("a commit past the topic's end means another topic: it is read from its beginning", () => {
  const { offset, mark } = decide({ high: 20, commit: 50, note: "none" });
  assert.equal(offset, 0);
  assert.match(mark ?? "", /past the topic's end 20/);
});
