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

/** What is decided of a commit without a note, where the journal holds nothing of the partition. */
function foreign(offset: number) {
  return { offset, mark: `offset ${offset} was committed by another program: reading on from it` };
}

const ownNote = { journalId: OURS, topicId: TOPIC_ID };

Deno.test("a commit's note is read back, and another program's metadata is none", () => {
  assert.deepEqual(parseCommitNote(formatCommitNote(ownNote)), ownNote);
  const others = [null, "", "something", "orderflow:", "orderflow:x", "orderflow::x", "other:x:y"];
  for (const metadata of others) {
    assert.equal(parseCommitNote(metadata), undefined);
  }
});

Deno.test("a commit's note has the leader epoch and a truncation, after what earlier versions read", () => {
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
  assert.deepEqual(decide({ commit: 40, note: "none" }), foreign(40));
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

Deno.test("a commit at the topic's end is where to read on, not past it", () => {
  const held = [{ start: 0, end: 20 }];
  assert.deepEqual(decide({ high: 20, commit: 20, note: ownNote, held }), { offset: 20 });
  assert.deepEqual(decide({ high: 20, commit: 20, note: "none", held }), { offset: 20 });
  assert.deepEqual(decide({ high: 20, commit: 20, note: "none" }), foreign(20));
  assert.match(decide({ high: 20, commit: 21, note: "none", held }).mark ?? "", /past the topic's/);
});

Deno.test("a commit at the first offset that is left, or at the end of what is held, misses nothing", () => {
  const held = [{ start: 0, end: 10 }];
  assert.deepEqual(decide({ low: 10, commit: 10, note: ownNote, held }), { offset: 10 });
  assert.deepEqual(decide({ low: 10, commit: 10, note: "none", held }), { offset: 10 });
  assert.deepEqual(decide({ low: 30, commit: 30, note: ownNote }), { offset: 30 });
  assert.deepEqual(decide({ low: 30, commit: 30, note: "none" }), foreign(30));
});

Deno.test("offsets that were deleted are marked where one of them is not held, and only then", () => {
  const decideLow40 = (...held: readonly Interval[]) =>
    decide({ low: 40, commit: 10, note: ownNote, held });
  // Held up to just before what is left: nothing is missing.
  assert.deepEqual(decideLow40({ start: 0, end: 40 }), { offset: 40 });
  assert.deepEqual(decideLow40({ start: 0, end: 90 }), { offset: 40 });
  for (const held of [[{ start: 0, end: 39 }], [{ start: 0, end: 20 }, { start: 21, end: 90 }]]) {
    const { offset, mark } = decideLow40(...held);
    assert.equal(offset, 40);
    assert.match(mark ?? "", /offsets 10 to 39 were deleted before they were read/);
  }
});

Deno.test("what was noticed of a group and of deleted offsets stands in one mark", () => {
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

Deno.test("deleted offsets are named alike after their end was committed and before a record is held", () => {
  const held = [{ start: 0, end: 10 }];
  const mark = "offsets 10 to 39 were deleted before they were read";
  const first = decide({ low: 40, commit: 10, note: ownNote, held });
  // The start was committed; then the tracker joined once more.
  const again = decide({ low: 40, commit: 40, note: ownNote, held });
  assert.deepEqual([first, again], [{ offset: 40, mark }, { offset: 40, mark }]);
  // A record below the commit that can still be read was not held.
  const { mark: behind } = decide({ low: 40, commit: 41, note: ownNote, held });
  assert.match(behind ?? "", /ends before the committed offset 41; offsets 10 to 39/);
  const more = [...held, { start: 40, end: 45 }];
  assert.deepEqual(decide({ low: 40, commit: 40, note: ownNote, held: more }), { offset: 40 });
});

Deno.test("a journal that ends before our commit is marked only for a record below the commit", () => {
  const { markBelow } = decide({ commit: 50, note: ownNote, held: [{ start: 0, end: 30 }] });
  assert.equal(markBelow, 50);
  // Also where what is left begins where the journal ends.
  const atLow = decide({ low: 30, commit: 50, note: ownNote, held: [{ start: 0, end: 30 }] });
  assert.deepEqual([atLow.offset, atLow.markBelow], [30, 50]);
  // Other marks are right whatever is read next.
  for (const note of ["none", { journalId: OURS, topicId: "bb" }] as const) {
    const { mark, markBelow } = decide({ commit: 20, note, held: [{ start: 0, end: 30 }] });
    assert.ok(mark !== undefined && markBelow === undefined);
  }
});

Deno.test("a topic that was created again is marked until a record of it is held, also between two runs", () => {
  const hasOlderTopic = true;
  assert.match(decide({ hasOlderTopic }).mark ?? "", /created again/);
  // Begun by an earlier run, which committed its beginning and saw no record.
  assert.match(decide({ commit: 0, note: ownNote, hasOlderTopic }).mark ?? "", /created again/);
  const held = [{ start: 0, end: 30 }];
  assert.deepEqual(decide({ commit: 30, note: ownNote, held, hasOlderTopic }), { offset: 30 });
  assert.deepEqual(decide({ commit: 30, note: "none", held, hasOlderTopic }), { offset: 30 });
  assert.deepEqual(decide({ commit: 30, note: "none", hasOlderTopic }), foreign(30));
  assert.deepEqual(decide({ hasOlderTopic: false }), { offset: 0 });
});
