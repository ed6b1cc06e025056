import assert from "node:assert/strict";
import type { LeaderEpochAnswer } from "../../lib/kafka/leader_epochs.ts";
import { SupersededLines } from "../../lib/verify/superseded_lines.ts";

const line = (offset: number, leaderEpoch?: number) => ({
  ...{ topic: "orders", partition: 0, offset, value: null },
  ...(leaderEpoch !== undefined && { leaderEpoch }),
});

/**
 * Answers for a log in which epoch 1 ends at 100, epoch 2 is lost, epoch 3 ends at 150, and epoch 5 is the current one.
 */
function answerOf(epoch: number): LeaderEpochAnswer {
  const ends: Record<number, { epoch: number; endOffset: number } | undefined> = {
    1: { epoch: 1, endOffset: 100 },
    2: { epoch: 1, endOffset: 100 },
    3: { epoch: 3, endOffset: 150 },
    5: { epoch: 5, endOffset: 170 },
  };
  return { leaderEpoch: 5, end: ends[epoch] };
}

Deno.test("SupersededLines: a line is superseded at or past its epoch's end, and if the log lacks its epoch", async () => {
  const asked: number[] = [];
  const lines = new SupersededLines({
    topic: "orders",
    topicId: "aa",
    epochEnd: ({ epoch }) => {
      asked.push(epoch);
      return Promise.resolve(answerOf(epoch));
    },
  });
  const cases: readonly (readonly [offset: number, epoch: number | undefined, boolean])[] = [
    [99, 1, false],
    [100, 1, true],
    [20, 2, true],
    [150, 3, true],
    [149, 3, false],
    [169, 5, false],
    [500, 5, false], // newer than the answer: the leader is still in this epoch
    [7, 6, false], // a future leader
    [20, undefined, false],
  ];
  for (const [offset, epoch, expected] of cases) {
    assert.equal(await lines.isSuperseded(line(offset, epoch)), expected, `${offset} in ${epoch}`);
  }
  assert.deepEqual(asked, [1, 2, 3, 5, 6], "each epoch is requested once");
});

Deno.test("SupersededLines: a line with a known epoch supersedes lines without one from its offset on", () => {
  const lines = new SupersededLines({ topic: "orders", topicId: "aa", epochEnd: undefined });
  const supersededBy = (journal: number, ...[offset, epoch]: Parameters<typeof line>) =>
    lines.note(journal, line(offset, epoch)).superseded;
  for (let offset = 0; offset < 10; offset++) assert.deepEqual(supersededBy(0, offset), []);
  assert.deepEqual(supersededBy(0, 6, 4), [{ start: 6, end: 10, epoch: undefined }]);
  assert.deepEqual(supersededBy(0, 7, 4), []);
  assert.deepEqual(supersededBy(1, 6, 4), [], "journals are independent");
});

Deno.test("SupersededLines: a line after a later record's line is out of order unless it repeats or supersedes it", () => {
  const lines = new SupersededLines({ topic: "orders", topicId: "aa", epochEnd: undefined });
  const cases: readonly (readonly [offset: number, epoch: number, isOutOfOrder: boolean])[] = [
    [3, 1, false],
    [5, 1, false],
    [4, 1, true],
    [4, 1, false], // reported as a repetition instead
    [9, 1, false],
    [6, 2, false], // the log was truncated at 6
    [8, 2, false],
    [7, 2, true],
    [2, 1, true], // a truncation never returns to an earlier epoch
  ];
  for (const [offset, epoch, expected] of cases) {
    const { isOutOfOrder } = lines.note(0, line(offset, epoch));
    assert.equal(isOutOfOrder, expected, `${offset} in ${epoch}`);
  }
  assert.equal(
    lines.note(1, line(0, 1)).isOutOfOrder,
    false,
    "each journal has its own order",
  );
});

Deno.test("SupersededLines: a line without an epoch after one with an epoch lacks it", () => {
  const lines = new SupersededLines({ topic: "orders", topicId: "aa", epochEnd: undefined });
  const lacksEpoch = (...place: Parameters<typeof line>) =>
    lines.note(0, line(...place)).lacksEpoch;
  assert.deepEqual(
    [lacksEpoch(0), lacksEpoch(1, 4), lacksEpoch(2), lacksEpoch(3), lacksEpoch(4, 4)],
    [false, false, true, true, false],
  );
});

Deno.test("SupersededLines: without a cluster, no line with an epoch is superseded", async () => {
  const lines = new SupersededLines({ topic: "orders", topicId: "aa", epochEnd: undefined });
  assert.equal(await lines.isSuperseded(line(100, 1)), false);
});
