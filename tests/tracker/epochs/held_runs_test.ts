import assert from "node:assert/strict";
import { epochStartsIn, heldRuns } from "../../../lib/tracker/epochs/held_runs.ts";
import { HeldPartition } from "../../../lib/journal/held_partition.ts";
import { Random } from "../../../lib/shop/random.ts";

const ROUNDS = 300;

Deno.test("heldRuns() ends each epoch after its last held offset, across gaps and within intervals", () => {
  const intervals = [{ start: 0, end: 100 }, { start: 150, end: 300 }, { start: 400, end: 500 }];
  assert.deepEqual(heldRuns(intervals, []), [{ epoch: undefined, start: 0, end: 500 }]);
  assert.deepEqual(
    heldRuns(intervals, [
      { epoch: 1, start: 50 },
      { epoch: 2, start: 200 },
      { epoch: 3, start: 300 },
      { epoch: 4, start: 400 },
      { epoch: undefined, start: 450 },
    ]),
    [
      { epoch: undefined, start: 0, end: 50 },
      { epoch: 1, start: 50, end: 200 },
      { epoch: 2, start: 200, end: 300 },
      { epoch: 4, start: 400, end: 450 },
      { epoch: undefined, start: 450, end: 500 },
    ],
  );
  assert.deepEqual(heldRuns([], []), []);
});

Deno.test("epochStartsIn() assigns offsets without a record to the epoch that follows them", () => {
  // Compaction removed the end of epoch 5 and the start of epoch 6, which began somewhere between 900 and 1100.
  const epochRuns = [{ epoch: 5, start: 0, end: 900 }, { epoch: 6, start: 1100, end: 1200 }];
  assert.deepEqual(epochStartsIn({ records: [], epochRuns }), [
    { epoch: 5, start: 0 },
    { epoch: 6, start: 900 },
  ]);
  const held = new HeldPartition();
  held.add({ start: 0, end: 1200 }, epochStartsIn({ records: [], epochRuns }));
  assert.equal(
    heldRuns(held.offsets.intervals, held.epochs)[0]?.end,
    900,
    "no further than what was read",
  );
});

Deno.test("heldRuns() assigns every held offset to its epoch's run, and runs start and end at held offsets", () => {
  for (let seed = 1; seed <= ROUNDS; seed++) {
    const random = new Random(seed);
    const below = (limit: number) => Math.floor(random.unit() * limit);
    const held = new HeldPartition();
    const epochs = new Map<number, number>();
    let epoch = 0;
    for (let offset = 0; offset < 60; offset++) {
      if (below(6) === 0) epoch += below(3);
      if (below(4) === 0) continue;
      held.add({ start: offset, end: offset + 1 }, [{ epoch, start: offset }]);
      epochs.set(offset, epoch);
    }
    const runs = heldRuns(held.offsets.intervals, held.epochs);
    for (const [offset, expected] of epochs) {
      const containing = runs.filter(({ start, end }) => start <= offset && offset < end);
      assert.deepEqual(containing.map((run) => run.epoch), [expected], `${offset}, seed ${seed}`);
    }
    for (const { start, end } of runs) assert.ok(epochs.has(start) && epochs.has(end - 1));
  }
});

Deno.test("epochStartsIn() decodes no record of a batch whose epochs are known", () => {
  const batch = {
    epochRuns: [{ epoch: 1, start: 0, end: 9 }],
    get records(): never {
      throw new Error("the records were decoded");
    },
  };
  assert.deepEqual(epochStartsIn(batch), [{ epoch: 1, start: 0 }]);
});
