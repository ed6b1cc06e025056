import assert from "node:assert/strict";
import type { PartitionStart } from "../../lib/kafka/consumer/api.ts";
import { startPosition } from "../../lib/tracker/start_position.ts";
import { formatCommitNote, parseCommitNote } from "../../lib/tracker/epochs/commit_note.ts";
import { firstGap, type Interval } from "../../lib/journal/intervals.ts";

const OURS = "our-journal";
const TOPIC_ID = "aa";

interface Given {
  readonly low?: number;
  readonly high?: number;
  readonly commit?: number;
  readonly note?: { journalId: string; topicId: string } | "none";
  readonly held?: readonly Interval[];
  readonly hasOlderTopic?: boolean;
}

function decide({ low = 0, high = 100, commit, note, held = [], hasOlderTopic }: Given) {
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
    journaled: {
      end: held.at(-1)?.end,
      firstGap: (from) => firstGap(held, from),
      ...(hasOlderTopic !== undefined && { hasOlderTopic }),
    },
  });
}

/** The start for a commit without a note, when the journal holds nothing of the partition. */
function foreign(offset: number) {
  return { offset, mark: `offset ${offset} was committed by another program: reading on from it` };
}

const ownNote = { journalId: OURS, topicId: TOPIC_ID };

Deno.test("a commit's note survives formatting and parsing, and another program's metadata is not a note", () => {
  assert.deepEqual(parseCommitNote(formatCommitNote(ownNote)), ownNote);
  const others = [null, "", "something", "orderflow:", "orderflow:x", "orderflow::x", "other:x:y"];
  for (const metadata of others) {
    assert.equal(parseCommitNote(metadata), undefined);
  }
});

Deno.test("a commit's note has the leader epoch and a truncation after the fields that earlier versions parse", () => {
  const truncation = { offset: 500, epoch: 3 };
  const unknown = { offset: 500, epoch: undefined };
  const notes: readonly (readonly [string, Parameters<typeof formatCommitNote>[0]])[] = [
    ["orderflow:our-journal:aa", ownNote],
    ["orderflow:our-journal:aa:0", { ...ownNote, leaderEpoch: 0 }],
    ["orderflow:our-journal:aa:7:500@3", { ...ownNote, leaderEpoch: 7, truncation }],
    ["orderflow:our-journal:aa::500@3", { ...ownNote, truncation }],
    ["orderflow:our-journal:aa:7:500@", { ...ownNote, leaderEpoch: 7, truncation: unknown }],
  ];
  for (const [text, note] of notes) {
    assert.equal(formatCommitNote(note), text);
    assert.deepEqual(parseCommitNote(text), note);
  }
  assert.deepEqual(parseCommitNote("orderflow:our-journal:aa:x:y:z"), ownNote);
});

Deno.test("the first start reads from the first available offset", () => {
  assert.deepEqual(decide({ low: 7 }), { offset: 7 });
});

Deno.test("our own commit is the start position, even if the journal is ahead of it", () => {
  assert.deepEqual(decide({ commit: 50, note: ownNote, held: [{ start: 0, end: 50 }] }), {
    offset: 50,
  });
  assert.deepEqual(decide({ commit: 50, note: ownNote, held: [{ start: 0, end: 60 }] }), {
    offset: 50,
  });
});

Deno.test("if the journal ends before our own commit, reading starts at the journal's end, with a mark", () => {
  const { offset, mark } = decide({ commit: 50, note: ownNote, held: [{ start: 0, end: 30 }] });
  assert.equal(offset, 30);
  assert.match(mark ?? "", /ends before the committed offset 50/);
});

Deno.test("another tracker's commit is the start position", () => {
  const note = { journalId: "another", topicId: TOPIC_ID };
  assert.deepEqual(decide({ commit: 80, note, held: [{ start: 0, end: 50 }] }), { offset: 80 });
  assert.deepEqual(decide({ commit: 80, note }), { offset: 80 });
});

Deno.test("a recreated topic is read from its beginning, with a mark", () => {
  const { offset, mark } = decide({ commit: 50, note: { journalId: OURS, topicId: "bb" } });
  assert.equal(offset, 0);
  assert.match(mark ?? "", /created again/);
});

Deno.test("after an operator reset the group, reading starts at the lower of commit and journal end", () => {
  const held = [{ start: 0, end: 50 }];
  const back = decide({ commit: 10, note: "none", held });
  const forth = decide({ commit: 90, note: "none", held });
  assert.deepEqual([back.offset, forth.offset], [10, 50]);
  assert.match(back.mark ?? "", /reset to offset 10/);
  assert.match(forth.mark ?? "", /reset to offset 90/);
});

Deno.test("another program's commit is the start position, with a mark, if the journal holds nothing of the partition", () => {
  assert.deepEqual(decide({ commit: 40, note: "none" }), foreign(40));
});

Deno.test("without a commit, reading starts at the first offset that the journal does not hold", () => {
  const { offset, mark } = decide({ held: [{ start: 0, end: 20 }, { start: 30, end: 50 }] });
  assert.equal(offset, 20);
  assert.match(mark ?? "", /no committed offset/);
});

Deno.test("offsets deleted before they were read are reported, unless the journal holds them", () => {
  const missed = decide({ low: 40, commit: 10, note: ownNote, held: [{ start: 0, end: 10 }] });
  assert.equal(missed.offset, 40);
  assert.match(missed.mark ?? "", /offsets 10 to 39 were deleted before they were read/);
  assert.deepEqual(
    decide({ low: 40, commit: 10, note: "none", held: [{ start: 0, end: 60 }] }).offset,
    40,
  );
});

Deno.test("a commit past the topic's end means a recreated topic, which is read from its beginning", () => {
  const { offset, mark } = decide({ high: 20, commit: 50, note: "none" });
  assert.equal(offset, 0);
  assert.match(mark ?? "", /past the topic's end 20/);
});

Deno.test("a commit at the topic's end is the start position, not past the end", () => {
  const held = [{ start: 0, end: 20 }];
  assert.deepEqual(decide({ high: 20, commit: 20, note: ownNote, held }), { offset: 20 });
  assert.deepEqual(decide({ high: 20, commit: 20, note: "none", held }), { offset: 20 });
  assert.deepEqual(decide({ high: 20, commit: 20, note: "none" }), foreign(20));
  assert.match(decide({ high: 20, commit: 21, note: "none", held }).mark ?? "", /past the topic's/);
});

Deno.test("a commit at the first available offset, or at the end of the held offsets, means no gap", () => {
  const held = [{ start: 0, end: 10 }];
  assert.deepEqual(decide({ low: 10, commit: 10, note: ownNote, held }), { offset: 10 });
  assert.deepEqual(decide({ low: 10, commit: 10, note: "none", held }), { offset: 10 });
  assert.deepEqual(decide({ low: 30, commit: 30, note: ownNote }), { offset: 30 });
  assert.deepEqual(decide({ low: 30, commit: 30, note: "none" }), foreign(30));
});

Deno.test("deleted offsets are marked only if the journal does not hold all of them", () => {
  const decideLow40 = (...held: readonly Interval[]) =>
    decide({ low: 40, commit: 10, note: ownNote, held });
  // Held up to just before the first available offset: nothing is missing.
  assert.deepEqual(decideLow40({ start: 0, end: 40 }), { offset: 40 });
  assert.deepEqual(decideLow40({ start: 0, end: 90 }), { offset: 40 });
  for (const held of [[{ start: 0, end: 39 }], [{ start: 0, end: 20 }, { start: 21, end: 90 }]]) {
    const { offset, mark } = decideLow40(...held);
    assert.equal(offset, 40);
    assert.match(mark ?? "", /offsets 10 to 39 were deleted before they were read/);
  }
});

Deno.test("a group reset and deleted offsets share one mark", () => {
  const held = [{ start: 0, end: 10 }];
  const reset = decide({ low: 40, commit: 5, note: "none", held });
  assert.equal(
    reset.mark,
    "the group was reset to offset 5; offsets 5 to 39 were deleted before they were read",
  );
  const behind = decide({ low: 40, commit: 50, note: ownNote, held });
  assert.equal(
    behind.mark,
    "the journal ends before the committed offset 50; offsets 10 to 39 were deleted before they were read",
  );
  const past = decide({ low: 40, high: 60, commit: 70, note: "none", held });
  assert.equal(past.offset, 40);
  assert.doesNotMatch(past.mark ?? "", /deleted/);
});

Deno.test("deleted offsets get the same mark after the start was committed and before a record is held", () => {
  const held = [{ start: 0, end: 10 }];
  const mark = "offsets 10 to 39 were deleted before they were read";
  const first = decide({ low: 40, commit: 10, note: ownNote, held });
  // The start was committed, and then the tracker rejoined.
  const again = decide({ low: 40, commit: 40, note: ownNote, held });
  assert.deepEqual([first, again], [{ offset: 40, mark }, { offset: 40, mark }]);
  // A record below the commit that can still be read is not held.
  const { mark: behind } = decide({ low: 40, commit: 41, note: ownNote, held });
  assert.match(behind ?? "", /ends before the committed offset 41; offsets 10 to 39/);
  const more = [...held, { start: 40, end: 45 }];
  assert.deepEqual(decide({ low: 40, commit: 40, note: ownNote, held: more }), { offset: 40 });
});

Deno.test("a journal that ends before our commit is marked only if a record below the commit can be read", () => {
  const { markBelow } = decide({ commit: 50, note: ownNote, held: [{ start: 0, end: 30 }] });
  assert.equal(markBelow, 50);
  // Even if the first available offset is where the journal ends.
  const atLow = decide({ low: 30, commit: 50, note: ownNote, held: [{ start: 0, end: 30 }] });
  assert.deepEqual([atLow.offset, atLow.markBelow], [30, 50]);
  // Other marks are correct whatever is read next.
  for (const note of ["none", { journalId: OURS, topicId: "bb" }] as const) {
    const { mark, markBelow } = decide({ commit: 20, note, held: [{ start: 0, end: 30 }] });
    assert.ok(mark !== undefined && markBelow === undefined);
  }
});

Deno.test("a recreated topic is marked until one of its records is held, even across runs", () => {
  const hasOlderTopic = true;
  assert.match(decide({ hasOlderTopic }).mark ?? "", /created again/);
  // An earlier run committed the topic's beginning and saw no record.
  assert.match(decide({ commit: 0, note: ownNote, hasOlderTopic }).mark ?? "", /created again/);
  const held = [{ start: 0, end: 30 }];
  assert.deepEqual(decide({ commit: 30, note: ownNote, held, hasOlderTopic }), { offset: 30 });
  assert.deepEqual(decide({ commit: 30, note: "none", held, hasOlderTopic }), { offset: 30 });
  assert.deepEqual(decide({ commit: 30, note: "none", hasOlderTopic }), foreign(30));
  assert.deepEqual(decide({ hasOlderTopic: false }), { offset: 0 });
});
