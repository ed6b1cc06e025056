import assert from "node:assert/strict";
import {
  divergenceBefore,
  findDivergence,
  fitOf,
  isSucceeded,
  type ReadPoint,
} from "../../../lib/kafka/consumer/log_truncation.ts";
import type { EpochRun } from "../../../lib/kafka/protocol/record_batch.ts";
import type { EpochEnd } from "../../../lib/kafka/protocol/offset_for_leader_epoch.ts";
import { Random } from "../../../lib/shop/random.ts";

const HISTORIES = 400;
const STEPS = 60;
/** Enough for everything that a random history can append. */
const READS_TO_END = 40;

type Run = readonly [epoch: number | undefined, start: number, end: number];

function runs(...each: readonly Run[]): EpochRun[] {
  return each.map(([epoch, start, end]) => ({ epoch, start, end }));
}

/** Answers from a log's epochs, given as `[epoch, start]`, as Kafka's LeaderEpochFileCache does. */
function answering(
  epochs: readonly (readonly [number, number])[],
  logEnd: number,
): (epoch: number) => EpochEnd | undefined {
  return (asked) => {
    if (epochs.at(-1)?.[0] === asked) return { epoch: asked, endOffset: logEnd };
    const higher = epochs.find(([epoch]) => epoch > asked);
    if (higher === undefined) return undefined;
    const floor = epochs.findLast(([epoch]) => epoch <= asked);
    return { epoch: floor?.[0] ?? asked, endOffset: higher[1] };
  };
}

async function divergence(
  read: readonly EpochRun[],
  ...log: Parameters<typeof answering>
): Promise<readonly [number, number | undefined] | undefined> {
  const found = await findDivergence(
    read,
    (epoch) => Promise.resolve(answering(...log)(epoch)),
  );
  return found && [found.offset, found.epoch];
}

Deno.test("findDivergence() finds where the log was truncated, and nothing if only the leader changed", async () => {
  const read = runs([1, 0, 500], [2, 500, 1000]);
  assert.equal(await divergence(read, [[1, 0], [2, 500]], 1000), undefined, "nothing changed");
  assert.equal(
    await divergence(read, [[1, 0], [2, 500], [4, 1000]], 1700),
    undefined,
    "a new leader",
  );
  assert.deepEqual(await divergence(read, [[1, 0], [2, 500], [4, 800]], 800), [800, 2], "cut");
  assert.deepEqual(
    await divergence(read, [[1, 0], [2, 500], [4, 800]], 2000),
    [800, 2],
    "rewritten",
  );
  assert.deepEqual(await divergence(read, [[1, 0], [4, 500]], 500), [500, 2], "an epoch is gone");
  assert.deepEqual(await divergence(read, [[1, 0], [4, 300]], 2000), [300, 1], "and some before");
  assert.deepEqual(await divergence(read, [[4, 0]], 0), [0, 1], "all of it is gone");
  assert.deepEqual(await divergence(read, [[4, 0]], 2000), [0, 1], "and it was rewritten");
});

Deno.test("findDivergence() finds nothing after retention, and reports no more than can be known", async () => {
  const read = runs([1, 0, 500], [2, 500, 1000]);
  assert.equal(
    await divergence(read, [[4, 1500]], 1600),
    undefined,
    "all records that were read are deleted",
  );
  assert.equal(await divergence(read, [[2, 700], [4, 1000]], 1200), undefined, "the first 700");
  assert.deepEqual(await divergence(read, [[2, 700], [4, 900]], 1200), [900, 2]);
  assert.deepEqual(await divergence(read, [[4, 800]], 1200), [800, 2], "cut at or below 800");
});

Deno.test("findDivergence() goes below an epoch of a replica that was left behind and became leader again", async () => {
  // Epoch 2 began at 40 on a replica that lacked ten records of epoch 1; epoch 3 on the one that had them.
  assert.deepEqual(
    await divergence(runs([1, 0, 40], [2, 40, 45]), [[1, 0], [3, 50]], 60),
    [40, 2],
  );
  // Offsets 30 to 39 had no record in epoch 2; they may now be records of either other epoch.
  assert.deepEqual(
    await divergence(runs([1, 0, 30], [2, 40, 45]), [[1, 0], [3, 35]], 60),
    [30, 2],
  );
});

Deno.test("findDivergence() goes back over offsets without a record, because the log may have one there now", async () => {
  // Offset 0 was a transaction marker; now it is a record of epoch 1, which began after epoch 0 was lost.
  assert.deepEqual(
    await divergence(runs([0, 1, 2], [2, 2, 9]), [[1, 0], [7, 1]], 60),
    [0, 0],
  );
  // The log has epoch 2 up to offset 30, so everything before it is unchanged.
  assert.deepEqual(await divergence(runs([2, 40, 50]), [[2, 0], [7, 30]], 60), [30, 2]);
});

Deno.test("findDivergence() treats a log without a matching epoch as one that lacks its records", async () => {
  // The metadata was restored from an earlier copy: the current leader's epoch is below those that were read.
  const read = runs([1, 0, 500], [6, 500, 1000]);
  assert.deepEqual(await divergence(read, [[1, 0], [3, 400]], 600), [400, 1]);
  assert.deepEqual(await divergence(read, [[1, 0]], 500), [500, 6]);
  assert.deepEqual(await divergence(read, [], 0), [0, 1]);
});

Deno.test("findDivergence() does not ask about unknown epochs, or about those above a known divergence", async () => {
  const asked: number[] = [];
  const log = answering([[1, 0], [5, 100]], 1200);
  const found = await findDivergence(
    runs([undefined, 0, 50], [1, 50, 200], [2, 200, 300], [undefined, 300, 310], [3, 310, 400]),
    (epoch) => {
      asked.push(epoch);
      return Promise.resolve(log(epoch));
    },
  );
  assert.deepEqual(found, { offset: 100, epoch: 1 });
  assert.deepEqual(asked, [3, 1]);
});

Deno.test("fitOf() asks only about the last epoch before a batch of a new one", () => {
  const read = runs([1, 0, 500], [2, 500, 1000]);
  const kindOf = (...batch: readonly Run[]) => fitOf(read, runs(...batch));
  assert.deepEqual(kindOf([2, 1000, 1100]), { kind: "continues" });
  assert.deepEqual(kindOf([2, 1000, 1100], [3, 1100, 1200]), { kind: "continues" });
  assert.deepEqual(kindOf([1, 400, 500], [2, 500, 600]), { kind: "continues" }, "read again");
  assert.deepEqual(kindOf([undefined, 1000, 1100]), { kind: "continues" });
  assert.deepEqual(kindOf(), { kind: "continues" });
  assert.deepEqual(kindOf([3, 1000, 1100]), { kind: "new epoch", epoch: 2, end: 1000 });
  assert.deepEqual(fitOf([], runs([3, 0, 10])), { kind: "continues" }, "nothing was read");
  assert.deepEqual(fitOf(runs([undefined, 0, 10]), runs([3, 10, 20])), { kind: "continues" });
  assert.deepEqual(
    fitOf(runs([1, 0, 500], [3, 700, 800]), runs([2, 500, 700])),
    { kind: "new epoch", epoch: 1, end: 500 },
    "a gap",
  );
});

Deno.test("fitOf() detects that a batch and the records already read cannot be from the same log", () => {
  const read = runs([1, 0, 500], [2, 500, 1000]);
  const contradictsFrom = (offset: number, ...batch: readonly Run[]) =>
    assert.deepEqual(fitOf(read, runs(...batch)), { kind: "contradicts", offset });
  contradictsFrom(500, [1, 1000, 1100]); // a lower epoch after a higher one
  contradictsFrom(900, [3, 900, 1200]); // begins below the end of what was read in epoch 2
  contradictsFrom(400, [2, 400, 600]); // begins within epoch 1
  contradictsFrom(500, [2, 1000, 1100], [1, 1100, 1200]);
  contradictsFrom(100, [3, 100, 200]); // before the records that were read in a lower epoch
});

Deno.test("isSucceeded() requires the epoch to end between the records that were read and the batch", () => {
  const fit = { kind: "new epoch", epoch: 2, end: 1000 } as const;
  const succeeded = (answer: EpochEnd | undefined) =>
    isSucceeded(fit, { batchStart: 1010, answer });
  assert.equal(succeeded({ epoch: 2, endOffset: 1000 }), true);
  assert.equal(
    succeeded({ epoch: 2, endOffset: 1010 }),
    true,
    "a transaction marker lies between",
  );
  assert.equal(succeeded({ epoch: 2, endOffset: 999 }), false, "truncated");
  assert.equal(succeeded({ epoch: 1, endOffset: 1000 }), false, "the epoch is gone");
  assert.equal(
    succeeded({ epoch: 2, endOffset: 1011 }),
    false,
    "from another leader than the batch's",
  );
  assert.equal(succeeded(undefined), false);
});

interface ModelRecord {
  readonly epoch: number;
  readonly id: number;
}

/** Models the replicas of one partition, one of which leads: as much of Kafka as truncation involves. */
class ModelPartition {
  readonly #logs: ModelRecord[][];
  /** The first offset that still exists. */
  low = 0;
  /** Records that were once deleted; a replica that was left behind may still have them. */
  readonly expired = new Set<number>();
  #leader = 0;
  epoch = 0;
  /** Where the current leader began. */
  #epochStart = 0;
  #ids = 0;

  constructor(replicaCount: number) {
    this.#logs = Array.from({ length: replicaCount }, () => []);
  }

  get log(): readonly ModelRecord[] {
    return this.#logs[this.#leader] ?? [];
  }

  get high(): number {
    return this.log.length;
  }

  append(count: number): void {
    for (let index = 0; index < count; index++) {
      this.#logs[this.#leader]?.push({ epoch: this.epoch, id: ++this.#ids });
    }
  }

  /** Copies the leader's log to a follower, dropping what the leader does not have. */
  replicate(replica: number): void {
    if (replica !== this.#leader) this.#logs[replica] = [...this.log];
  }

  /** Elects a replica, which continues from its own log, whatever that lacks. */
  elect(replica: number): void {
    this.#leader = replica;
    this.epoch++;
    this.#epochStart = this.high;
    this.low = Math.min(this.low, this.high);
  }

  /** Drops the end of a replica's log, as after a power failure, and elects the replica. */
  lose(replica: number, offset: number): void {
    this.#logs[replica]?.splice(offset);
    this.elect(replica);
  }

  expire(offset: number): void {
    this.low = Math.min(Math.max(this.low, offset), this.high);
    for (const { id } of this.log.slice(0, this.low)) this.expired.add(id);
  }

  epochEnd(epoch: number): EpochEnd | undefined {
    const starts: [number, number][] = [];
    for (let offset = this.low; offset < this.high; offset++) {
      const here = this.log[offset]?.epoch ?? 0;
      if (starts.at(-1)?.[0] !== here) starts.push([here, offset]);
    }
    if (starts.at(-1)?.[0] !== this.epoch) starts.push([this.epoch, this.#epochStart]);
    return answering(starts, this.high)(epoch);
  }

  runs(start: number, end: number): EpochRun[] {
    const found: { epoch: number; start: number; end: number }[] = [];
    for (let offset = start; offset < end; offset++) {
      const epoch = this.log[offset]?.epoch ?? 0;
      const last = found.at(-1);
      if (last?.epoch === epoch) last.end = offset + 1;
      else found.push({ epoch, start: offset, end: offset + 1 });
    }
    return found;
  }
}

/** A reader that keeps what it read, and asks about epochs when the tracker does. */
class ModelReader {
  readonly held = new Map<number, ModelRecord>();
  position = 0;
  questions = 0;
  readonly #partition: ModelPartition;
  /** True if the broker compares the last epoch with each fetch (Fetch v12). */
  readonly #isFetchChecked: boolean;
  #point: ReadPoint | undefined;

  constructor(
    partition: ModelPartition,
    { isFetchChecked }: { readonly isFetchChecked: boolean },
  ) {
    this.#partition = partition;
    this.#isFetchChecked = isFetchChecked;
  }

  /** Begins at any offset, as a group with --from latest does. */
  beginAt(offset: number): void {
    this.position = offset;
    this.#point = { offset, epoch: this.#partition.epoch };
  }

  async read(count: number): Promise<void> {
    const { low, high } = this.#partition;
    if (this.position < low || this.position > high || this.#isDiverging()) {
      return await this.realign();
    }
    const end = Math.min(high, this.position + count);
    const batch = this.#partition.runs(this.position, end);
    const fit = fitOf(this.#read(), batch);
    if (fit.kind === "contradicts") return await this.realign();
    if (fit.kind === "new epoch") {
      const answer = this.#ask(fit.epoch);
      if (!isSucceeded(fit, { batchStart: this.position, answer })) return await this.realign();
    }
    for (; this.position < end; this.position++) {
      const record = this.#partition.log[this.position];
      assert.ok(record);
      assert.ok(!this.held.has(this.position), "no record is appended twice");
      this.held.set(this.position, record);
    }
  }

  async realign(): Promise<void> {
    const { low, high, log } = this.#partition;
    const found = await findDivergence(
      this.#read(),
      (epoch) => Promise.resolve(this.#ask(epoch)),
    );
    const first = (isWanted: (offset: number) => boolean) => this.#offsets().find(isWanted);
    const differing = first((offset) =>
      offset >= low && log[offset]?.id !== this.held.get(offset)?.id
    );
    // Records below the log's start may be dropped too, since nobody can read them any more.
    assert.equal(found && first((offset) => offset >= Math.max(low, found.offset)), differing);
    if (found !== undefined) {
      const superseded = first((offset) => offset >= found.offset) ?? -1;
      assert.equal(found.epoch, this.held.get(superseded)?.epoch);
      for (const offset of this.#offsets()) if (offset >= found.offset) this.held.delete(offset);
      this.position = Math.min(this.position, found.offset);
    }
    if (this.#point?.offset === this.position) {
      const answer = this.#ask(this.#point.epoch);
      this.position = divergenceBefore(this.#point, { answer, low }) ?? this.position;
    }
    this.position = Math.max(low, Math.min(this.position, high));
    if (!this.held.has(this.position - 1)) this.beginAt(this.position);
  }

  #isDiverging(): boolean {
    const point = this.#point?.offset === this.position ? this.#point.epoch : undefined;
    const epoch = this.held.get(this.position - 1)?.epoch ?? point;
    if (!this.#isFetchChecked || epoch === undefined) return false;
    const answer = this.#partition.epochEnd(epoch);
    return answer?.epoch !== epoch || answer.endOffset < this.position;
  }

  #ask(epoch: number): EpochEnd | undefined {
    this.questions++;
    return this.#partition.epochEnd(epoch);
  }

  #offsets(): readonly number[] {
    return [...this.held.keys()].toSorted((a, b) => a - b);
  }

  #read(): EpochRun[] {
    const found: { epoch: number; start: number; end: number }[] = [];
    for (const offset of this.#offsets()) {
      const epoch = this.held.get(offset)?.epoch ?? 0;
      const last = found.at(-1);
      if (last?.epoch === epoch) last.end = offset + 1;
      else found.push({ epoch, start: offset, end: offset + 1 });
    }
    return found;
  }
}

/**
 * Goal: whatever happens to a partition, the records read from it and not superseded are those of its log.
 * Method: random histories of three replicas (appends, replication, elections of any replica, lost ends, retention),
 * with reads in between; at the end the log is read to its end. Without checked fetches there is no retention, and
 * there is one more record at the end, because such a reader does not notice a log that was rewritten exactly up to
 * its position.
 * Invariants: each divergence is found at the first offset at which the log has another record than was read, and
 * none if it has the same; no record is read twice; at the end the reader holds what the log has.
 */
for (const isFetchChecked of [true, false]) {
  const how = isFetchChecked ? "with checked fetches" : "with requests only";
  Deno.test(`a randomly truncated log is finally read as it is, ${how}`, async () => {
    let truncations = 0;
    for (let seed = 1; seed <= HISTORIES; seed++) {
      const random = new Random(seed);
      const below = (limit: number) => Math.floor(random.unit() * limit);
      const partition = new ModelPartition(3);
      const reader = new ModelReader(partition, { isFetchChecked });
      for (let step = 0; step < STEPS; step++) {
        const held = reader.held.size;
        switch (below(10)) {
          case 0:
          case 1:
          case 2:
            partition.append(1 + below(8));
            break;
          case 3:
          case 4:
            partition.replicate(below(3));
            break;
          case 5:
            partition.elect(below(3));
            break;
          case 6:
            if (below(2) === 0) partition.lose(below(3), below(partition.high + 1));
            else if (isFetchChecked && below(4) === 0) partition.expire(below(partition.high + 1));
            break;
          case 7:
            if (below(3) === 0) await reader.realign();
            break;
          default:
            await reader.read(1 + below(12));
        }
        if (reader.held.size < held) truncations++;
      }
      if (!isFetchChecked) {
        partition.elect(below(3));
        partition.append(1 + Math.max(0, reader.position - partition.high));
      }
      for (let round = 0; round < READS_TO_END; round++) await reader.read(20);
      for (const [offset, { id }] of partition.log.entries()) {
        if (offset < partition.low || partition.expired.has(id)) continue;
        assert.equal(reader.held.get(offset)?.id, id, `offset ${offset} with seed ${seed}`);
      }
      const beyond = [...reader.held.keys()].filter((offset) => offset >= partition.high);
      assert.deepEqual(beyond, [], `with seed ${seed}`);
    }
    assert.ok(truncations > HISTORIES, `${truncations} truncations`);
  });
}

Deno.test("a log whose leader only changes is asked about once per change", async () => {
  const partition = new ModelPartition(3);
  const reader = new ModelReader(partition, { isFetchChecked: true });
  for (let change = 0; change < 10; change++) {
    partition.append(5);
    for (const replica of [0, 1, 2]) partition.replicate(replica);
    await reader.read(3);
    await reader.read(3);
    partition.elect(change % 3);
  }
  assert.equal(reader.held.size, 50);
  assert.equal(reader.questions, 9);
});
