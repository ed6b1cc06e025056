import assert from "node:assert/strict";
import { HeldOffsets } from "../../lib/journal/held_offsets.ts";
import { firstGap, gapsIn, IntervalSet } from "../../lib/journal/intervals.ts";
import { newSeed, seededRandom } from "./fixture.ts";

Deno.test("IntervalSet.add() merges overlapping and adjacent intervals", () => {
  const set = new IntervalSet();
  for (const [start, end] of [[10, 20], [30, 40], [0, 5], [20, 25]] as const) {
    set.add({ start, end });
  }
  assert.deepEqual(set.intervals, [{ start: 0, end: 5 }, { start: 10, end: 25 }, {
    start: 30,
    end: 40,
  }]);
  set.add({ start: 4, end: 31 });
  assert.deepEqual(set.intervals, [{ start: 0, end: 40 }]);
  assert.equal(set.end, 40);
});

Deno.test("IntervalSet.add() refuses an invalid interval", () => {
  for (const [start, end] of [[1, 1], [2, 1], [-1, 3], [0.5, 3], [0, 2 ** 53]] as const) {
    assert.throws(() => new IntervalSet().add({ start, end }), RangeError);
  }
});

Deno.test("IntervalSet matches a plain set of offsets in a thousand random sequences", () => {
  const seed = newSeed();
  const random = seededRandom(seed);
  const upTo = (end: number) => Math.floor(random() * end);
  for (let round = 0; round < 1_000; round++) {
    const set = new IntervalSet();
    const model = new Set<number>();
    for (let step = 0; step < 12; step++) {
      const start = upTo(60);
      const end = start + 1 + upTo(8);
      const offsets = Array.from({ length: end - start }, (_, index) => start + index);
      assert.equal(set.overlaps({ start, end }), offsets.some((o) => model.has(o)), `seed ${seed}`);
      set.add({ start, end });
      for (const offset of offsets) model.add(offset);
    }
    for (let offset = 0; offset < 70; offset++) {
      assert.equal(set.has(offset), model.has(offset), `offset ${offset}, seed ${seed}`);
    }
    const { intervals } = set;
    for (const [index, { start }] of intervals.entries()) {
      const before = intervals[index - 1];
      assert.ok(before === undefined || before.end < start, `not disjoint, seed ${seed}`);
    }
  }
});

Deno.test("HeldOffsets distinguishes topics by id, or by name if there is no id", () => {
  const held = new HeldOffsets();
  held.add({ topic: "orders", topicId: "a", partition: 0 }, { start: 0, end: 5 });
  held.add({ topic: "orders", topicId: "", partition: 0 }, { start: 0, end: 7 });
  assert.equal(held.of({ topic: "orders", topicId: "a", partition: 0 }).end, 5);
  assert.equal(held.of({ topic: "orders", topicId: "b", partition: 0 }).end, undefined);
  assert.equal(held.of({ topic: "orders", topicId: "", partition: 0 }).end, 7);
  assert.equal(held.of({ topic: "payments", topicId: "", partition: 0 }).end, undefined);
  assert.equal(held.of({ topic: "orders", topicId: "a", partition: 1 }).end, undefined);
});

Deno.test("HeldOffsets.countNotIn() counts the offsets that the other does not hold", () => {
  const [one, other] = [new HeldOffsets(), new HeldOffsets()];
  const partition = { topic: "orders", topicId: "a", partition: 0 };
  for (const start of [0, 20, 40]) one.add(partition, { start, end: start + 10 });
  assert.equal(one.countNotIn(other), 30);
  for (const [start, end] of [[5, 22], [25, 45]] as const) other.add(partition, { start, end });
  assert.equal(one.countNotIn(other), 5 + 3 + 5);
  assert.equal(one.countNotIn(one), 0);
});

Deno.test("HeldOffsets.countNotIn() matches plain sets in a thousand random pairs", () => {
  const seed = newSeed();
  const random = seededRandom(seed);
  const upTo = (end: number) => Math.floor(random() * end);
  const partition = { topic: "orders", topicId: "a", partition: 0 };
  for (let round = 0; round < 1_000; round++) {
    const [one, other] = [new HeldOffsets(), new HeldOffsets()];
    for (const held of [one, other]) {
      for (let count = upTo(8); count > 0; count--) {
        const start = upTo(40);
        held.add(partition, { start, end: start + 1 + upTo(6) });
      }
    }
    let expected = 0;
    for (let offset = 0; offset < 60; offset++) {
      if (one.of(partition).has(offset) && !other.of(partition).has(offset)) expected++;
    }
    assert.equal(one.countNotIn(other), expected, `seed ${seed}`);
  }
});

Deno.test("HeldOffsets.hasNamesake() is true only for the same partition under another topic id", () => {
  const held = new HeldOffsets();
  held.add({ topic: "orders", topicId: "a", partition: 0 }, { start: 0, end: 5 });
  held.add({ topic: "orders", topicId: "", partition: 1 }, { start: 0, end: 5 });
  held.add({ topic: "payments", topicId: "c", partition: 2 }, { start: 0, end: 5 });
  const hasNamesake = (topicId: string, partition: number) =>
    held.hasNamesake({ topic: "orders", topicId, partition });
  assert.equal(hasNamesake("b", 0), true);
  assert.equal(hasNamesake("a", 0), false);
  assert.equal(hasNamesake("b", 1), false, "a line without an id proves nothing");
  assert.equal(hasNamesake("b", 2), false, "another topic");
  assert.equal(hasNamesake("b", 3), false, "another partition");
});

Deno.test("firstGap() returns the first offset not held, even if held offsets begin exactly at the start", () => {
  const intervals = [{ start: 0, end: 5 }, { start: 20, end: 30 }, { start: 31, end: 40 }];
  const gaps = [[0, 5], [4, 5], [5, 5], [10, 10], [19, 19], [20, 30], [29, 30], [31, 40], [50, 50]];
  for (const [from = 0, gap = 0] of gaps) assert.equal(firstGap(intervals, from), gap, `${from}`);
  assert.equal(firstGap([], 7), 7);
});

Deno.test("firstGap() and gapsIn() match a plain set in a thousand random sets", () => {
  const seed = newSeed();
  const random = seededRandom(seed);
  const upTo = (end: number) => Math.floor(random() * end);
  for (let round = 0; round < 1_000; round++) {
    const set = new IntervalSet();
    for (let count = upTo(6); count > 0; count--) {
      const start = upTo(30);
      set.add({ start, end: start + 1 + upTo(5) });
    }
    const start = upTo(40);
    const range = { start, end: start + upTo(12) };
    let gap = start;
    while (set.has(gap)) gap++;
    assert.equal(firstGap(set.intervals, start), gap, `seed ${seed}`);
    const missing = new IntervalSet();
    for (let offset = range.start; offset < range.end; offset++) {
      if (!set.has(offset)) missing.add({ start: offset, end: offset + 1 });
    }
    assert.deepEqual(gapsIn(set.intervals, range), missing.intervals, `seed ${seed}`);
  }
});
