import assert from "node:assert/strict";
import { type AccountData, SegmentAccount } from "../../lib/journal/account.ts";
import { appendOf, encodedLines, lineOf, partition } from "./fixture.ts";

Deno.test("SegmentAccount counts each partition's lines, first and last offsets, and held offsets", () => {
  const account = new SegmentAccount();
  account.addRecord(partition(0), { offset: 7, leaderEpoch: undefined, timestampMs: 1 });
  account.addRecord(partition(0), { offset: 3, leaderEpoch: undefined, timestampMs: 1 });
  account.addRecord(partition(0), { offset: 5, leaderEpoch: undefined, timestampMs: 1 });
  account.addForeign(2);
  assert.equal(account.addAppend(appendOf(1, { start: 10, end: 13 })), true);
  assert.equal(account.addAppend(appendOf(1, { start: 13, end: 14 })), true);
  assert.equal(account.addAppend(appendOf(1, { start: 4, end: 5 })), true);
  assert.equal(account.addAppend(appendOf(1, { start: 6, end: 7 })), true);
  assert.equal(account.lines, 11);
  const { topic, topicId } = partition(0);
  const share = (partition: number, others: object) => ({
    topic,
    topic_id: topicId,
    partition,
    ...others,
  });
  assert.deepEqual(account.data(), {
    lines: 11,
    partitions: [
      share(0, { records: 3, first_offset: 3, last_offset: 7, held: [[3, 4], [5, 6], [7, 8]] }),
      share(1, { records: 6, first_offset: 4, last_offset: 13, held: [[4, 5], [6, 7], [10, 14]] }),
    ],
  });
});

Deno.test("SegmentAccount has null offsets for a partition that is held without lines", () => {
  const account = new SegmentAccount();
  const nothing = { ...partition(0), lines: new Uint8Array(), lineEnds: [] };
  account.addAppend({ ...nothing, epochs: [], intervals: [{ start: 3, end: 9 }] });
  const [share] = account.data().partitions;
  assert.deepEqual(
    [share?.records, share?.first_offset, share?.last_offset, share?.held],
    [0, null, null, [[3, 9]]],
  );
  // Further records are counted from there.
  for (const offset of [0, 11]) {
    const again = SegmentAccount.from(account.data());
    again.addRecord(partition(0), { offset, leaderEpoch: undefined, timestampMs: 1 });
    const [more] = again.data().partitions;
    assert.deepEqual([more?.first_offset, more?.last_offset], [offset, offset]);
  }
  const again = SegmentAccount.from(account.data());
  again.addAppend(appendOf(0, { start: 0, end: 1 }));
  assert.equal(again.data().partitions[0]?.last_offset, 0);
});

Deno.test("SegmentAccount.addAppend() counts nothing if the first or last line is not a record's", () => {
  const line = lineOf(partition(0), 5);
  for (const lines of [["hello\n", line], [line, "hello\n"], ["hello\n"], ["\n"]]) {
    const account = new SegmentAccount();
    const append = {
      ...partition(0),
      epochs: [],
      intervals: [{ start: 5, end: 6 }],
      ...encodedLines(lines),
    };
    assert.equal(account.addAppend(append), false, lines.join());
    assert.equal(account.lines, 0);
  }
});

Deno.test("SegmentAccount.from() continues from the result of data()", () => {
  const account = new SegmentAccount();
  account.addAppend(appendOf(0, { start: 5, end: 8 }));
  account.addForeign(1);
  const data: AccountData = JSON.parse(JSON.stringify(account.data()));
  const again = SegmentAccount.from(data);
  assert.deepEqual(again.data(), data);
  for (const each of [account, again]) {
    each.addAppend(appendOf(0, { start: 2, end: 3 }));
    each.addAppend(appendOf(0, { start: 9, end: 10 }));
  }
  assert.deepEqual(again.data(), account.data());
  assert.deepEqual(again.data().partitions[0]?.held, [[2, 3], [5, 8], [9, 10]]);
});

Deno.test("SegmentAccount distinguishes and sorts partitions by topic, id, and number", () => {
  const keys = [["b", "1", 0], ["a", "", 0], ["b", "", 0], ["a", "2", 1], ["a", "2", 0], [
    "a",
    "1",
    10,
  ], [
    "a",
    "1",
    9,
  ]] as const;
  const account = new SegmentAccount();
  for (const [topic, topicId, partition] of keys) {
    account.addRecord({ topic, topicId, partition }, {
      offset: 1,
      leaderEpoch: undefined,
      timestampMs: 1,
    });
  }
  assert.deepEqual(
    account.data().partitions.map(({ topic, topic_id, partition, records }) => [
      topic,
      topic_id,
      partition,
      records,
    ]),
    [
      ["a", "", 0, 1],
      ["a", "1", 9, 1],
      ["a", "1", 10, 1],
      ["a", "2", 0, 1],
      ["a", "2", 1, 1],
      ["b", "", 0, 1],
      ["b", "1", 0, 1],
    ],
  );
});
