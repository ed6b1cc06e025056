import assert from "node:assert/strict";
import type { CommittedOffset } from "../../../lib/kafka/cluster_answers.ts";
import type { ConsumedBatch } from "../../../lib/kafka/consumer/api.ts";
import { RefusedError } from "../../../lib/kafka/errors.ts";
import type { LeaderEpochAnswer, LeaderEpochQuestion } from "../../../lib/kafka/leader_epochs.ts";
import type { EpochRun } from "../../../lib/kafka/protocol/record_batch.ts";
import { type Logger, loggerOf } from "../../../lib/log.ts";
import { TruncationCheck } from "../../../lib/tracker/epochs/truncation_check.ts";
import type { Journal } from "../../../lib/journal/journal.ts";
import type { NotedTruncation } from "../../../lib/journal/held_partition.ts";
import { formatCommitNote } from "../../../lib/tracker/epochs/commit_note.ts";
import { appendOf, opened, partition, TestFolder } from "../../journal/fixture.ts";

const PLACE = partition(0);
const { topic, topicId } = PLACE;

/** A log as its leader knows it: epochs as `[epoch, start]`, with Kafka's answers to OffsetForLeaderEpoch. */
class ModelLog {
  epochs: readonly (readonly [number, number])[];
  low = 0;
  high: number;
  readonly questions: LeaderEpochQuestion[] = [];
  refusal: Error | undefined;

  constructor(epochs: readonly (readonly [number, number])[], high: number) {
    this.epochs = epochs;
    this.high = high;
  }

  get leaderEpoch(): number {
    return this.epochs.at(-1)?.[0] ?? 0;
  }

  epochEnd(question: LeaderEpochQuestion): Promise<LeaderEpochAnswer> {
    this.questions.push(question);
    if (this.refusal !== undefined) return Promise.reject(this.refusal);
    const { leaderEpoch } = this;
    const { epoch } = question;
    if (epoch === leaderEpoch) {
      return Promise.resolve({ leaderEpoch, end: { epoch, endOffset: this.high } });
    }
    const higher = this.epochs.find(([each]) => each > epoch);
    const floor = this.epochs.findLast(([each]) => each <= epoch);
    const end = higher && { epoch: floor?.[0] ?? epoch, endOffset: higher[1] };
    return Promise.resolve({ leaderEpoch, end });
  }

  leaderEpochs(): Promise<ReadonlyMap<number, number>> {
    return Promise.resolve(new Map([[0, this.leaderEpoch]]));
  }

  range() {
    const { low, high } = this;
    return Promise.resolve({ partition: 0, low, high, highWatermark: high });
  }

  recordAt() {
    return Promise.resolve(undefined);
  }
}

interface Setup extends AsyncDisposable {
  readonly journal: Journal;
  readonly log: ModelLog;
  readonly check: TruncationCheck;
  readonly truncations: NotedTruncation[];
  readonly gaps: { readonly from: number; readonly to: number }[];
  readonly warnings: string[];
  /** Adds the offsets from `start` up to `end` to the journal, in one epoch. */
  hold(start: number, end: number, epoch: number | undefined): Promise<void>;
  /** Joins the group with this commit; reports whether the start must be committed. */
  join(committed?: CommittedOffset): Promise<boolean>;
  realign(offset: number, epoch?: number): Promise<number>;
  accepts(...runs: readonly EpochRun[]): Promise<boolean>;
}

async function setUp(log: ModelLog): Promise<Setup> {
  const folder = new TestFolder();
  const { journal, [Symbol.asyncDispose]: close } = await opened(folder);
  const truncations: NotedTruncation[] = [];
  const gaps: { from: number; to: number }[] = [];
  const warnings: string[] = [];
  const logger: Logger = Object.create(loggerOf("test"), {
    warn: { value: (message: string) => warnings.push(message) },
  });
  const check = new TruncationCheck({
    journal,
    logs: log,
    log: logger,
    settled: () => Promise.resolve(),
    onTruncated: (_, truncation) => truncations.push(truncation),
    onGap: ({ from, to }) => gaps.push({ from, to }),
  });
  return {
    journal,
    log,
    check,
    truncations,
    gaps,
    warnings,
    hold: async (start, end, epoch) =>
      await journal.append({ ...appendOf(0, { start, end }), epochs: [{ epoch, start }] }),
    join: async (committed) => {
      const start = { partition: 0, low: log.low, high: log.high, committed };
      const truncated = await check.beforeStart({ topic, topicId, partitions: [start] });
      return truncated.has(0);
    },
    realign: (offset, epoch) =>
      check.realign({ ...PLACE, offset, epoch, divergingEpoch: undefined }),
    accepts: (...epochRuns) => check.accepts(batchOf(epochRuns)),
    async [Symbol.asyncDispose]() {
      await close();
      folder[Symbol.dispose]();
    },
  };
}

function batchOf(epochRuns: readonly EpochRun[]): ConsumedBatch {
  return {
    ...PLACE,
    records: [],
    endOffset: epochRuns.at(-1)?.end ?? 0,
    highWatermark: 0,
    isCurrent: () => true,
    lost: new AbortController().signal,
    confirmTopic: () => Promise.resolve(true),
    previous: Promise.resolve(true),
    epochRuns,
  };
}

function commit(
  offset: number,
  note: { readonly by?: string; readonly epoch?: number; readonly truncation?: NotedTruncation },
): CommittedOffset {
  const { by = "another-journal", epoch, truncation } = note;
  const metadata = formatCommitNote({
    journalId: by,
    topicId,
    ...(epoch !== undefined && { leaderEpoch: epoch }),
    ...(truncation !== undefined && { truncation }),
  });
  return { partition: 0, offset, metadata };
}

Deno.test("TruncationCheck drops the records that a truncated log lost, and moves our own commit back", async () => {
  await using it = await setUp(new ModelLog([[1, 0], [4, 500]], 1200));
  await it.hold(0, 1000, 1);
  const committed = commit(1000, { by: it.journal.id, epoch: 1 });
  assert.equal(await it.join(committed), true);
  assert.equal(it.journal.end(PLACE), 500);
  assert.deepEqual(it.truncations, [{ offset: 500, epoch: 1, leaderEpoch: 4 }]);
  const start = { partition: 0, low: 0, high: 1200, committed };
  assert.equal(it.check.committedOf(start)?.offset, 500);
  assert.equal(it.check.epochBefore(0, 500), 1);
  assert.equal(it.warnings.length, 1);
});

Deno.test("TruncationCheck finds nothing if only the leader changed, and asks once at the join and once at the epoch boundary", async () => {
  await using it = await setUp(new ModelLog([[1, 0], [4, 1000]], 1200));
  await it.hold(0, 1000, 1);
  assert.equal(await it.join(commit(1000, { by: it.journal.id, epoch: 1 })), false);
  assert.equal(it.log.questions.length, 1);
  assert.equal(await it.accepts({ epoch: 4, start: 1000, end: 1100 }), true);
  assert.equal(it.log.questions.length, 2);
  assert.equal(
    it.log.questions[1]?.leaderEpochMin,
    4,
    "a leader older than the batch's epoch is not asked",
  );
  await it.hold(1000, 1100, 4);
  assert.equal(await it.accepts({ epoch: 4, start: 1100, end: 1200 }), true);
  assert.equal(it.log.questions.length, 2);
  assert.deepEqual([it.truncations, it.warnings, it.journal.end(PLACE)], [[], [], 1100]);
});

Deno.test("TruncationCheck refuses a batch of a rewritten log, and realigns to the point of divergence", async () => {
  await using it = await setUp(new ModelLog([[1, 0], [4, 500]], 1200));
  await it.hold(0, 1000, 1);
  assert.equal(await it.accepts({ epoch: 4, start: 1000, end: 1200 }), false);
  assert.equal(await it.realign(1000, 1), 500);
  assert.equal(await it.accepts({ epoch: 4, start: 500, end: 1200 }), true);
});

Deno.test("TruncationCheck moves another member's commit back to the last offset that the log still has", async () => {
  await using it = await setUp(new ModelLog([[1, 0], [4, 500]], 1200));
  assert.equal(await it.join(commit(1000, { epoch: 1 })), true);
  assert.deepEqual(it.truncations, [{ offset: 500, epoch: 1, leaderEpoch: 4 }]);
  assert.equal(
    it.check.committedOf({
      partition: 0,
      low: 0,
      high: 1200,
      committed: commit(1000, { epoch: 1 }),
    })?.offset,
    500,
  );
  assert.equal(await it.join(commit(500, { epoch: 1 })), false, "the log has all of it");
});

Deno.test("TruncationCheck keeps the replacements of lost records in the journal, even if the commit is still the old one", async () => {
  await using it = await setUp(new ModelLog([[1, 0], [4, 500]], 1200));
  await it.hold(0, 500, 1);
  await it.hold(500, 700, 4);
  assert.equal(await it.join(commit(1000, { by: it.journal.id, epoch: 1 })), true);
  assert.equal(it.journal.end(PLACE), 700);
  assert.deepEqual(it.truncations, [], "its first line was marked already");
});

Deno.test("TruncationCheck reports a truncation noted in the commit until a replacement record is journaled", async () => {
  await using it = await setUp(new ModelLog([[1, 0], [4, 500]], 500));
  await it.hold(0, 500, 1);
  const truncation = { offset: 500, epoch: 1 };
  const committed = commit(500, { by: it.journal.id, epoch: 1, truncation });
  assert.equal(await it.join(committed), false);
  assert.deepEqual(it.truncations, [truncation]);
  it.log.high = 600;
  await it.hold(500, 600, 4);
  await it.join(committed);
  assert.deepEqual(it.truncations, [truncation], "not reported again");
});

Deno.test("TruncationCheck detects a truncation below its starting offset before it has read any record", async () => {
  await using it = await setUp(new ModelLog([[1, 0]], 1000));
  await it.join();
  const epoch = it.check.epochBefore(0, 1000);
  assert.equal(epoch, 1);
  it.log.epochs = [[1, 0], [4, 500]];
  it.log.high = 1200;
  assert.equal(await it.realign(1000, epoch), 500);
});

Deno.test("TruncationCheck reports which offsets were deleted before they were read", async () => {
  await using it = await setUp(new ModelLog([[1, 700], [4, 1000]], 1200));
  it.log.low = 700;
  await it.hold(0, 500, 1);
  assert.equal(await it.realign(500, 1), 700);
  assert.deepEqual([it.gaps, it.truncations], [[{ from: 500, to: 700 }], []]);
});

Deno.test("TruncationCheck eventually trusts a batch that its leader keeps contradicting", async () => {
  // The leader lost its epoch cache, which now begins at 2000; batches of epoch 2 begin at 1000.
  await using it = await setUp(new ModelLog([[8, 2000]], 2100));
  await it.hold(0, 1000, 1);
  const batch = { epoch: 2, start: 1000, end: 1100 };
  let refusals = 0;
  while (!await it.accepts(batch)) {
    assert.equal(await it.realign(1000, 1), 1000);
    assert.ok(++refusals < 10);
  }
  assert.ok(refusals > 1, "a new leader is given time");
  assert.deepEqual(it.truncations, []);
});

Deno.test("TruncationCheck drops held records that the log's batches keep contradicting", async () => {
  await using it = await setUp(new ModelLog([[8, 2000]], 2100));
  await it.hold(0, 1000, 1);
  let offset = 400;
  for (let attempt = 0; offset === 400 && attempt < 10; attempt++) {
    assert.equal(await it.accepts({ epoch: 2, start: 300, end: 600 }), false);
    offset = await it.realign(400, 1);
  }
  assert.equal(offset, 300);
  assert.equal(it.journal.end(PLACE), 300);
  assert.deepEqual(it.truncations, [{ offset: 300, epoch: 1, leaderEpoch: 2 }]);
});

Deno.test("TruncationCheck warns once if the cluster refuses OffsetForLeaderEpoch, and then relies on batches and fetches", async () => {
  await using it = await setUp(new ModelLog([[1, 0], [4, 500]], 1200));
  it.log.refusal = new RefusedError("no", { reason: "TOPIC_AUTHORIZATION_FAILED" });
  await it.hold(0, 1000, 1);
  assert.equal(await it.join(commit(1000, { by: it.journal.id, epoch: 1 })), false);
  assert.equal(
    await it.accepts({ epoch: 4, start: 1000, end: 1200 }),
    true,
    "nothing shows the truncation yet",
  );
  assert.equal(it.warnings.length, 1);
  assert.match(it.warnings[0] ?? "", /Describe/);

  const divergingEpoch = { epoch: 1, endOffset: 500 };
  const position = { ...PLACE, offset: 1000, epoch: 1, divergingEpoch };
  assert.equal(await it.check.realign(position), 500, "a fetch shows it");
  await it.hold(500, 600, 3);
  assert.equal(await it.accepts({ epoch: 5, start: 550, end: 600 }), false);
  assert.equal(await it.realign(550, 3), 550, "a batch shows it");
  assert.equal(it.journal.end(PLACE), 550);
});

Deno.test("TruncationCheck warns at the first join if OffsetForLeaderEpoch is refused, before anything is held", async () => {
  await using it = await setUp(new ModelLog([[1, 0]], 100));
  it.log.refusal = new RefusedError("no", { reason: "TOPIC_AUTHORIZATION_FAILED" });
  await it.join();
  await it.join();
  assert.equal(it.warnings.length, 1);
});

Deno.test("TruncationCheck rejects if no leader answers, so that the caller tries again", async () => {
  await using it = await setUp(new ModelLog([[1, 0], [4, 500]], 1200));
  await it.hold(0, 1000, 1);
  it.log.refusal = new Error("no answer");
  await assert.rejects(it.join(), /no answer/);
  await assert.rejects(it.accepts({ epoch: 4, start: 1000, end: 1200 }), /no answer/);
  assert.equal(it.journal.end(PLACE), 1000);
  it.log.refusal = undefined;
  await it.join();
  assert.equal(it.journal.end(PLACE), 500);
});
