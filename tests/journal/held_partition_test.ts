import assert from "node:assert/strict";
import { type EpochRun, epochStartsOf, HeldPartition } from "../../lib/journal/held_partition.ts";
import { newSeed, seededRandom } from "./fixture.ts";
import { sorted, textOf, withLine } from "./truncated_log.ts";

/** Formats the held offsets as `0-99:e1 120-149:e2`; `e?` is an unknown epoch. */
function held(partition: HeldPartition): string {
  return textOf(flat(partition.runs));
}

function filled(...runs: readonly (readonly [number, number, number | undefined])[]) {
  const partition = new HeldPartition();
  for (const [start, end, epoch] of runs) partition.add({ start, end }, [{ epoch, start }]);
  return partition;
}

Deno.test("HeldPartition keeps the first offset of each epoch, and the last epoch", () => {
  const partition = filled([0, 10, undefined], [10, 20, 3], [20, 30, 3], [40, 50, 7]);
  assert.deepEqual(partition.epochs, [{ epoch: 3, start: 10 }, { epoch: 7, start: 40 }]);
  assert.equal(partition.lastEpoch, 7);
  assert.equal(held(partition), "0-9:e? 10-29:e3 40-49:e7");
  assert.equal(new HeldPartition().lastEpoch, undefined);
});

Deno.test("HeldPartition accepts offsets in an unknown epoch after those in a known one", () => {
  const partition = filled([0, 10, 3], [10, 20, undefined], [20, 30, 3]);
  assert.equal(held(partition), "0-9:e3 10-19:e? 20-29:e3");
  assert.equal(filled([0, 10, 3], [10, 20, undefined]).lastEpoch, undefined);
});

// The held offsets, a line (offset, epoch), the held offsets afterwards, and the superseded ones.
const LINES: readonly {
  readonly title: string;
  readonly before: readonly (readonly [number, number, number | undefined])[];
  readonly line: readonly [number, number | undefined];
  readonly after: string;
  readonly superseded?: string;
  readonly isRepeated?: boolean;
}[] = [
  {
    title: "after the end is added",
    before: [[0, 10, 1]],
    line: [10, 2],
    after: "0-9:e1 10-10:e2",
  },
  {
    title: "at a held offset in the same epoch is a repetition, whatever follows",
    before: [[0, 10, 2], [10, 20, 3]],
    line: [5, 2],
    after: "0-9:e2 10-19:e3",
    isRepeated: true,
  },
  {
    title: "at a held offset without an epoch is a repetition",
    before: [[0, 10, 2]],
    line: [5, undefined],
    after: "0-9:e2",
    isRepeated: true,
  },
  {
    title: "at an offset held in a lower epoch supersedes from there on",
    before: [[0, 10, 1], [10, 20, 2]],
    line: [5, 4],
    after: "0-4:e1 5-5:e4",
    superseded: "5-9:e1 10-19:e2",
  },
  {
    title: "at offset 0 in a higher epoch supersedes everything",
    before: [[0, 10, 1], [10, 20, 2]],
    line: [0, 3],
    after: "0-0:e3",
    superseded: "0-9:e1 10-19:e2",
  },
  {
    title:
      "at an offset held in an unknown epoch supersedes all unknown or lower epochs from there on",
    before: [[0, 10, undefined], [10, 20, 2]],
    line: [5, 4],
    after: "0-4:e? 5-5:e4",
    superseded: "5-9:e? 10-19:e2",
  },
  {
    title:
      "in a gap keeps what is held above in an equal or higher epoch: another tracker had the records in between",
    before: [[60, 65, 1], [70, 80, 3], [80, 90, 5]],
    line: [66, 3],
    after: "60-64:e1 66-66:e3 70-79:e3 80-89:e5",
  },
  {
    title:
      "at a held offset supersedes everything above, including later epochs: the log was truncated there before",
    before: [[0, 2, 0], [2, 39, 1], [39, 90, 4]],
    line: [2, 0],
    after: "0-2:e0",
    superseded: "2-38:e1 39-89:e4",
  },
  {
    title: "in a gap below a lower epoch supersedes that epoch",
    before: [[60, 65, 1], [70, 80, 5]],
    line: [30, 3],
    after: "30-30:e3 70-79:e5",
    superseded: "60-64:e1",
  },
  {
    title: "in a gap below a higher epoch fills it",
    before: [[0, 10, 1], [20, 30, 3]],
    line: [12, 2],
    after: "0-9:e1 12-12:e2 20-29:e3",
  },
  {
    title:
      "in a gap below an unknown epoch fills it: a reset must not supersede what an earlier version wrote",
    before: [[20, 30, undefined]],
    line: [12, 2],
    after: "12-12:e2 20-29:e?",
  },
  {
    title: "without an epoch in a gap fills it",
    before: [[0, 10, 1], [20, 30, 3]],
    line: [12, undefined],
    after: "0-9:e1 12-12:e? 20-29:e3",
  },
  {
    title:
      "at an offset held in a higher epoch supersedes that epoch: a replica that was left behind became leader",
    before: [[0, 100, 2], [100, 120, 4]],
    line: [100, 3],
    after: "0-99:e2 100-100:e3",
    superseded: "100-119:e4",
  },
];

for (const { title, before, line: [offset, epoch], after, ...expected } of LINES) {
  Deno.test(`HeldPartition.addLine(): a line ${title}`, () => {
    const partition = filled(...before);
    const { isRepeated, superseded } = partition.addLine(offset, epoch);
    assert.equal(held(partition), after);
    assert.equal(textOf(flat(superseded)), expected.superseded ?? "");
    assert.equal(isRepeated, expected.isRepeated ?? false);
  });
}

Deno.test("HeldPartition.truncate() ends the held offsets anywhere, and returns the epoch that was held there", () => {
  const runs = [[0, 10, 1], [10, 20, 2], [30, 40, 2]] as const;
  const cases = [
    [0, "", "0-9:e1 10-19:e2 30-39:e2", undefined],
    [5, "0-4:e1", "5-9:e1 10-19:e2 30-39:e2", 1],
    [10, "0-9:e1", "10-19:e2 30-39:e2", 1],
    [25, "0-9:e1 10-19:e2", "30-39:e2", 2],
    [40, "0-9:e1 10-19:e2 30-39:e2", "", 2],
  ] as const;
  for (const [offset, left, superseded, lastEpoch] of cases) {
    const partition = filled(...runs);
    assert.equal(textOf(flat(partition.truncate(offset))), superseded);
    assert.equal(held(partition), left);
    assert.equal(partition.lastEpoch, lastEpoch);
    assert.equal(textOf(flat(partition.truncate(offset))), "", "truncated a second time");
    assert.equal(held(partition), left, "truncated a second time");
    partition.add({ start: offset, end: offset + 5 }, [{ epoch: 9, start: offset }]);
    assert.equal(held(partition), `${left} ${offset}-${offset + 4}:e9`.trim());
  }
});

Deno.test("HeldPartition.establish() sets the unknown epochs from an offset up to the first known one", () => {
  const partition = filled([0, 10, undefined], [10, 20, undefined], [30, 40, 8]);
  partition.establish({ epoch: 5, start: 15 });
  assert.equal(
    held(partition),
    "0-14:e? 15-19:e5 30-39:e8",
  );
  partition.establish({ epoch: 4, start: 0 });
  assert.equal(held(partition), "0-14:e4 15-19:e5 30-39:e8");
  partition.establish({ epoch: 3, start: 5 });
  assert.equal(held(partition), "0-14:e4 15-19:e5 30-39:e8", "already known");
  partition.add({ start: 40, end: 50 }, []);
  partition.establish({ epoch: 9, start: 45 });
  assert.equal(partition.lastEpoch, 9);
});

Deno.test("HeldPartition.removeRuns() keeps other records at the same offsets", () => {
  const partition = filled([0, 10, 1], [10, 20, 2], [30, 40, undefined]);
  partition.removeRuns([{ start: 5, end: 15, epoch: 1 }, { start: 32, end: 90, epoch: 1 }]);
  assert.equal(held(partition), "0-4:e1 10-19:e2 30-31:e?");
});

Deno.test("HeldPartition matches a plain list of offsets and epochs in random sequences", () => {
  const seed = newSeed();
  const random = seededRandom(seed);
  const upTo = (end: number) => Math.floor(random() * end);
  const randomEpoch = () => random() < 0.2 ? undefined : upTo(6);
  for (let round = 0; round < 1_000; round++) {
    const partition = new HeldPartition();
    let model = new Map<number, number | undefined>();
    for (let step = 0; step < 12; step++) {
      const epoch = randomEpoch();
      const start = random() < 0.3 ? (partition.offsets.end ?? 0) : upTo(40);
      const before = new Map(model);
      const superseded: EpochRun[] = [];
      const kind = random();
      if (kind < 0.7) {
        const end = start + 1 + upTo(6);
        // An interval stands for its lines.
        if (kind < 0.35) superseded.push(...partition.add({ start, end }, [{ epoch, start }]));
        for (let offset = start; offset < end; offset++) {
          if (kind >= 0.35) superseded.push(...partition.addLine(offset, epoch).superseded);
          model = withLine(model, [offset, epoch]);
        }
      } else if (kind < 0.9) {
        superseded.push(...partition.truncate(start));
        model = new Map([...model].filter(([offset]) => offset < start));
      } else if (epoch !== undefined) {
        partition.establish({ epoch, start });
        for (const [offset, known] of [...model].sort(([a], [b]) => a - b)) {
          if (offset < start) continue;
          if (known !== undefined) break;
          model.set(offset, epoch);
        }
      }
      const message = `seed ${seed}, round ${round}, step ${step}`;
      assert.deepEqual(flat(partition.runs), sorted(model), message);
      if (kind < 0.9) {
        const gone = [...before].filter(([offset, epoch]) =>
          !model.has(offset) || (model.get(offset) !== epoch)
        );
        // A later line of an interval may bring back what an earlier one superseded.
        const isBack = ([offset, epoch]: readonly [number, number | undefined]) =>
          before.get(offset) === epoch && model.has(offset) && model.get(offset) === epoch;
        const lasting = flat(superseded).filter((record) => !isBack(record));
        assert.deepEqual(sorted(new Map(lasting)), sorted(new Map(gone)), message);
      }
      for (const [index, { epoch, start }] of partition.epochs.entries()) {
        assert.ok(partition.offsets.has(start), message);
        assert.notEqual(epoch, partition.epochs[index - 1]?.epoch, message);
      }
      assert.equal(partition.lastEpoch, sorted(model).at(-1)?.[1], message);
    }
  }
});

function flat(runs: readonly EpochRun[]): (readonly [number, number | undefined])[] {
  return runs.flatMap(({ start, end, epoch }) =>
    Array.from({ length: end - start }, (_, index) => [start + index, epoch] as const)
  );
}

Deno.test("epochStartsOf() returns the first offset of each epoch among records", () => {
  const records = ([[4, 1], [5, 1], [9, 2], [10, 2]] as const).map(([offset, leaderEpoch]) => ({
    offset,
    leaderEpoch,
  }));
  assert.deepEqual(epochStartsOf(records), [{ epoch: 1, start: 4 }, { epoch: 2, start: 9 }]);
  assert.deepEqual(epochStartsOf(records.slice(0, 2)), [{ epoch: 1, start: 4 }]);
  assert.deepEqual(epochStartsOf([{ offset: 3 }, { offset: 4 }]), [{ epoch: undefined, start: 3 }]);
  assert.deepEqual(epochStartsOf([]), []);
});
