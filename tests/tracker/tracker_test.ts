import assert from "node:assert/strict";
import { DeliveryError } from "../../lib/kafka/errors.ts";
import type { Assignment, ConsumedBatch } from "../../lib/kafka/consumer/api.ts";
import type { ReliableProducer } from "../../lib/kafka/producer.ts";
import type { KafkaRecord } from "../../lib/record.ts";
import { loggerOf } from "../../lib/log.ts";
import { createShop } from "../../lib/shop/shop.ts";
import { DeadLetters } from "../../lib/tracker/dead_letters.ts";
import { formatCommitNote } from "../../lib/tracker/epochs/commit_note.ts";
import { Tracker } from "../../lib/tracker/tracker.ts";
import type { ConsumerHooks, TrackerOptions } from "../../lib/tracker/tracker_options.ts";
import { Metrics } from "../../lib/tracker/metrics.ts";
import { FaultyStorage, opened, TestFolder } from "../journal/fixture.ts";

const TOPIC = { topic: "orders", topicId: "11111111111111111111111111111111" };
const OTHER_TOPIC = { topic: "orders", topicId: "22222222222222222222222222222222" };
const ENCODER = new TextEncoder();
const ORDER = ENCODER.encode(JSON.stringify(createShop({ seed: 1 }).nextOrder(0)));

function record(offset: number, value: Uint8Array = ORDER): KafkaRecord {
  return {
    topic: TOPIC.topic,
    partition: 0,
    offset,
    timestampMs: 0,
    key: null,
    value,
    headers: [],
  };
}

/** A batch as a consumer hands it over; by default it has one valid order. */
function batchOf(given: Partial<ConsumedBatch> & { readonly records?: readonly KafkaRecord[] }) {
  const records = given.records ?? [record(0)];
  const endOffset = (records.at(-1)?.offset ?? -1) + 1;
  return {
    ...TOPIC,
    partition: 0,
    records,
    endOffset,
    highWatermark: endOffset,
    isCurrent: () => true,
    lost: new AbortController().signal,
    confirmTopic: () => Promise.resolve(true),
    previous: Promise.resolve(true),
    ...given,
  };
}

/** Creates a tracker with its own journal, whose consumer is the test. */
async function createTracked(options: Partial<TrackerOptions> = {}, kept?: TestFolder) {
  const folder = kept ?? new TestFolder();
  const storage = new FaultyStorage();
  const { journal, [Symbol.asyncDispose]: close } = await opened(folder, { storage });
  const consumer: { hooks?: ConsumerHooks } = {};
  const tracker = new Tracker({
    openConsumer: (hooks) => {
      consumer.hooks = hooks;
      return {
        positions: undefined,
        isCommitted: true,
        standing: {
          hindrance: undefined,
          partitions: [],
          commitFailure: undefined,
          unassigned: undefined,
        },
        run: () => Promise.withResolvers<void>().promise,
        stop: () => Promise.resolve(),
      };
    },
    topic: TOPIC.topic,
    groupId: "group",
    from: "earliest",
    journal,
    deadLetters: undefined,
    metrics: new Metrics(),
    log: loggerOf("test"),
    schema: "order",
    onJoined: () => {},
    onJournaled: () => {},
    ...options,
  });
  const { hooks } = consumer;
  if (hooks === undefined) throw new TypeError("expected the tracker to open its consumer");
  return {
    storage,
    journal,
    hooks,
    offsets: () => linesOf(folder).map(({ kafka_offset }) => kafka_offset),
    marks: () => linesOf(folder).map(({ mark }) => mark),
    async [Symbol.asyncDispose]() {
      await tracker.stop();
      await close();
      if (kept === undefined) folder[Symbol.dispose]();
    },
  };
}

interface Line {
  readonly kafka_offset: number;
  readonly mark?: string;
}

function linesOf(folder: TestFolder): readonly Line[] {
  return Deno.readTextFileSync(folder.active).split("\n").slice(0, -1)
    .map((line) => JSON.parse(line));
}

/** Reports whether the promise has settled after everything else that could has. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(() => settled = true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  return settled;
}

function assignmentOf(
  topic: typeof TOPIC,
  committed?: { readonly offset: number; readonly metadata: string },
): Assignment {
  return {
    ...topic,
    partitions: [{
      partition: 0,
      low: 0,
      high: 100,
      committed: committed && { partition: 0, ...committed },
    }],
  };
}

Deno.test("Tracker: a batch is safe only after it has been flushed to disk", async () => {
  await using tracked = await createTracked();
  const { hooks, storage } = tracked;
  const disk = Promise.withResolvers<void>();
  storage.beforeSync = () => disk.promise;
  const safe = hooks.onBatch(batchOf({}));
  assert.equal(await isSettled(safe), false, "safe before the flush");
  disk.resolve();
  assert.equal(await safe, true);
  assert.deepEqual(tracked.offsets(), [0]);
});

Deno.test("Tracker: a batch of a recreated topic is not written", async () => {
  await using tracked = await createTracked();
  const batch = batchOf({ confirmTopic: () => Promise.resolve(false) });
  assert.equal(await tracked.hooks.onBatch(batch), false);
  assert.deepEqual(tracked.offsets(), []);
});

Deno.test("Tracker: while no broker can confirm that the topic is the same, nothing is written", async () => {
  await using tracked = await createTracked();
  let questionCount = 0;
  const confirmTopic = () =>
    ++questionCount < 3 ? Promise.reject(new Error("no broker answers")) : Promise.resolve(true);
  assert.equal(await tracked.hooks.onBatch(batchOf({ confirmTopic })), true);
  assert.equal(questionCount, 3);
  assert.deepEqual(tracked.offsets(), [0]);
});

Deno.test("Tracker: a batch whose partition was lost while it waited is not written", async () => {
  await using tracked = await createTracked();
  const previous = Promise.withResolvers<boolean>();
  let isCurrent = true;
  const written = tracked.hooks.onBatch(
    batchOf({ isCurrent: () => isCurrent, previous: previous.promise }),
  );
  assert.equal(await isSettled(written), false, "everything is done except waiting for its turn");
  isCurrent = false;
  previous.resolve(true);
  assert.equal(await written, false);
  assert.deepEqual(tracked.offsets(), []);
});

Deno.test("Tracker: a batch after one that did not become safe is not written", async () => {
  await using tracked = await createTracked();
  const batch = batchOf({ records: [record(1)], previous: Promise.resolve(false) });
  assert.equal(await tracked.hooks.onBatch(batch), false);
  assert.deepEqual(tracked.offsets(), []);
});

Deno.test("Tracker: records whose append was in progress when the partition was lost are not written again", async () => {
  await using tracked = await createTracked();
  const { hooks, storage } = tracked;
  const disk = Promise.withResolvers<void>();
  storage.beforeSync = () => disk.promise;
  let isCurrent = true;
  const before = hooks.onBatch(batchOf({ isCurrent: () => isCurrent }));
  assert.equal(await isSettled(before), false);
  isCurrent = false;
  const after = hooks.onBatch(batchOf({ records: [record(0), record(1)] }));
  assert.equal(await isSettled(after), false, "it waits until the append has ended");
  disk.resolve();
  assert.equal(await after, true);
  assert.deepEqual(tracked.offsets(), [0, 1]);
});

Deno.test("Tracker: a batch is safe only after the broker has acknowledged its dead letters", async () => {
  const asked = Promise.withResolvers<void>();
  const broker = Promise.withResolvers<void>();
  const sent: number[] = [];
  const producer: Pick<ReliableProducer, "send"> = {
    async send({ records }) {
      asked.resolve();
      await broker.promise;
      sent.push(records.length);
      return { partition: 0, baseOffset: 0, recordCount: records.length };
    },
  };
  await using tracked = await createTracked({ deadLetters: deadLettersBy(producer) });
  const bad = [record(0), record(1, ENCODER.encode("bad"))];
  const safe = tracked.hooks.onBatch(batchOf({ records: bad }));
  await asked.promise;
  assert.deepEqual(tracked.offsets(), [0, 1], "the journal comes first");
  assert.equal(await isSettled(safe), false, "safe before the dead letter is acknowledged");
  broker.resolve();
  assert.equal(await safe, true);
  assert.deepEqual(sent, [1]);
});

Deno.test("Tracker: refused dead letters are abandoned when the partition is lost", async () => {
  let isCurrent = true;
  const producer: Pick<ReliableProducer, "send"> = {
    send: ({ topic, partition }) => {
      isCurrent = false;
      const cause = new Error("refused");
      throw new DeliveryError({ topic, partition, fate: "refused", reason: "REFUSED", cause });
    },
  };
  await using tracked = await createTracked({ deadLetters: deadLettersBy(producer) });
  const batch = batchOf({
    records: [record(0, ENCODER.encode("bad"))],
    isCurrent: () => isCurrent,
  });
  assert.equal(await tracked.hooks.onBatch(batch), false);
});

function deadLettersBy(producer: Pick<ReliableProducer, "send">): DeadLetters {
  return new DeadLetters({
    producer,
    topic: "orders-dlq",
    partitionCount: 1,
    log: loggerOf("test"),
    retryWaitMs: 1,
  });
}

Deno.test("Tracker: a handler's signal is aborted when its partition is lost, and the handler is not awaited", async () => {
  const called = Promise.withResolvers<void>();
  const told = Promise.withResolvers<void>();
  await using tracked = await createTracked({
    retryPolicy: { retryCount: 0, timeoutMs: 5_000 },
    onOrder: (_, { signal }) => {
      called.resolve();
      signal.addEventListener("abort", () => told.resolve());
      return Promise.withResolvers<void>().promise;
    },
  });
  const lost = new AbortController();
  const handled = tracked.hooks.onBatch(
    batchOf({ lost: lost.signal, isCurrent: () => !lost.signal.aborted }),
  );
  await called.promise;
  assert.equal(await isSettled(handled), false, "until then it waits for the handler");
  lost.abort();
  await told.promise;
  assert.equal(await handled, false, "its offset must not be committed");
});

Deno.test("Tracker: a topic recreated between runs is marked on its first line, even after a run without records", async () => {
  await using tracked = await createTracked();
  const { hooks, journal } = tracked;
  const { topic, topicId } = OTHER_TOPIC;
  hooks.startAt(assignmentOf(TOPIC));
  assert.equal(await hooks.onBatch(batchOf({})), true);

  const note = formatCommitNote({ journalId: journal.id, topicId });
  const start = new Map([[0, 0]]);
  await using second = await createTracked({ journal });
  assert.deepEqual(second.hooks.startAt(assignmentOf(OTHER_TOPIC)), start);
  await using third = await createTracked({ journal });
  const begun = { offset: 0, metadata: note };
  assert.deepEqual(third.hooks.startAt(assignmentOf(OTHER_TOPIC, begun)), start);
  assert.equal(await third.hooks.onBatch(batchOf({ topicId })), true);
  third.hooks.startAt(assignmentOf(OTHER_TOPIC, { offset: 1, metadata: note }));
  assert.equal(await third.hooks.onBatch(batchOf({ topicId, records: [record(1)] })), true);
  const again = "the topic was created again: reading it from its beginning";
  assert.deepEqual(tracked.marks(), [undefined, again, undefined]);
  assert.equal(
    journal.holdsNamesake({ topic, topicId, partition: 1 }),
    false,
    "the other lines have no mark",
  );
});

for (const ending of ["a stop", "a crash after the line was written"]) {
  Deno.test(`Tracker: a log truncation is marked on the next line only, after ${ending}`, async () => {
    using folder = new TestFolder();
    const inEpoch = (offset: number, leaderEpoch: number) => ({ ...record(offset), leaderEpoch });
    {
      await using first = await createTracked({}, folder);
      const records = [inEpoch(0, 1), inEpoch(1, 1)];
      assert.equal(await first.hooks.onBatch(batchOf({ records })), true);
      await first.journal.truncate({ ...TOPIC, partition: 0 }, 1);
      Deno.copyFileSync(folder.checkpoint, folder.file("copy"));
      const next = batchOf({ records: [inEpoch(1, 2)] });
      if (ending !== "a stop") assert.equal(await first.hooks.onBatch(next), true);
    }
    if (ending !== "a stop") Deno.renameSync(folder.file("copy"), folder.checkpoint);
    await using second = await createTracked({}, folder);
    for (const offset of ending === "a stop" ? [1, 2] : [2]) {
      const records = [inEpoch(offset, 2)];
      assert.equal(await second.hooks.onBatch(batchOf({ records })), true);
    }
    const mark = "partition 0 was truncated at offset 1: its records of leader epoch 1 were " +
      "replaced in leader epoch 2";
    assert.deepEqual(second.marks(), [undefined, undefined, mark, undefined]);
  });
}

Deno.test("Tracker: a pending mark is dropped when another member had the partition in between", async () => {
  await using tracked = await createTracked();
  const { hooks, journal } = tracked;
  const note = formatCommitNote({ journalId: journal.id, topicId: TOPIC.topicId });
  hooks.startAt(assignmentOf(TOPIC));
  assert.equal(await hooks.onBatch(batchOf({})), true);
  hooks.startAt(assignmentOf(TOPIC, { offset: 0, metadata: "an operator's" }));
  hooks.startAt({ ...TOPIC, partitions: [] });
  hooks.startAt(assignmentOf(TOPIC, { offset: 1, metadata: note }));
  assert.equal(await hooks.onBatch(batchOf({ records: [record(1)] })), true);
  assert.deepEqual(tracked.marks(), [undefined, undefined]);
});

Deno.test("Tracker: the mark of a batch that was not written goes on the next line", async () => {
  await using tracked = await createTracked();
  const { hooks } = tracked;
  hooks.startAt(assignmentOf(TOPIC));
  assert.equal(await hooks.onBatch(batchOf({})), true);
  hooks.startAt(assignmentOf(TOPIC, { offset: 0, metadata: "an operator's" }));
  const again = { records: [record(1)] };
  assert.equal(await hooks.onBatch(batchOf({ ...again, previous: Promise.resolve(false) })), false);
  assert.equal(await hooks.onBatch(batchOf(again)), true);
  assert.deepEqual(tracked.marks(), [undefined, "the group was reset to offset 0"]);
});

Deno.test("Tracker: all pending marks of a partition go on its next line, each once", async () => {
  await using tracked = await createTracked();
  const { hooks } = tracked;
  hooks.startAt(assignmentOf(TOPIC));
  assert.equal(await hooks.onBatch(batchOf({})), true);
  hooks.startAt(assignmentOf(TOPIC, { offset: 0, metadata: "an operator's" }));
  hooks.startAt(assignmentOf(TOPIC, { offset: 0, metadata: "an operator's" }));
  hooks.startAt(assignmentOf(TOPIC, { offset: 7, metadata: "an operator's" }));
  assert.equal(await hooks.onBatch(batchOf({ records: [record(7)] })), true);
  const [, mark = ""] = tracked.marks();
  assert.deepEqual(mark.split("; "), [
    "the group was reset to offset 0",
    "the group was reset to offset 7",
  ]);
});

Deno.test("Tracker: the mark of a batch from before a rejoin is not repeated when that batch ends late", async () => {
  await using tracked = await createTracked();
  const { hooks } = tracked;
  const reset = assignmentOf(TOPIC, { offset: 0, metadata: "an operator's" });
  const again = { records: [record(1)] };
  hooks.startAt(assignmentOf(TOPIC));
  assert.equal(await hooks.onBatch(batchOf({})), true);
  hooks.startAt(reset);
  const { promise: previous, resolve: endPrevious } = Promise.withResolvers<boolean>();
  let isCurrent = true;
  const late = hooks.onBatch(batchOf({ ...again, previous, isCurrent: () => isCurrent }));
  assert.equal(await isSettled(late), false);
  isCurrent = false;
  hooks.startAt(reset);
  assert.equal(await hooks.onBatch(batchOf(again)), true);
  endPrevious(false);
  assert.equal(await late, false);
  assert.equal(await hooks.onBatch(batchOf({ records: [record(2)] })), true);
  assert.deepEqual(tracked.marks(), [undefined, "the group was reset to offset 0", undefined]);
});

Deno.test("Tracker: a batch is not safe, and its records not held, if the journal was replaced before its append", async () => {
  await using tracked = await createTracked();
  const { hooks, journal } = tracked;
  assert.equal(await hooks.onBatch(batchOf({})), true);
  Deno.renameSync(`${journal.directory}/tracker.events`, `${journal.directory}/old`);
  assert.equal(await hooks.onBatch(batchOf({ records: [record(1)] })), false);
  assert.equal(journal.holds({ ...TOPIC, partition: 0, offset: 1 }), false);
});

Deno.test("Tracker: a dead letter keeps its value if a send fails for a reason other than its size", async () => {
  const values: (number | undefined)[] = [];
  let sends = 0;
  const producer: Pick<ReliableProducer, "send"> = {
    send({ topic, partition, records }) {
      values.push(records[0]?.value?.length);
      if (++sends > 1) return Promise.resolve({ partition: 0, baseOffset: 0, recordCount: 1 });
      const cause = new Error("timeout");
      throw new DeliveryError({
        topic,
        partition,
        fate: "unknown",
        reason: "REQUEST_TIMED_OUT",
        cause,
      });
    },
  };
  await using tracked = await createTracked({ deadLetters: deadLettersBy(producer) });
  assert.equal(
    await tracked.hooks.onBatch(batchOf({ records: [record(0, ENCODER.encode("bad"))] })),
    true,
  );
  assert.deepEqual(values, [3, 3]);
});

Deno.test("Tracker: a new group starts at the end only with --from latest, and only if the journal never held a record of the topic", async () => {
  await using earliest = await createTracked({ from: "earliest" });
  assert.equal(earliest.hooks.beginsAtEnd?.(TOPIC), false);
  await using latest = await createTracked({ from: "latest" });
  assert.equal(latest.hooks.beginsAtEnd?.(TOPIC), true);
  latest.hooks.startAt({ ...TOPIC, partitions: [] });
  assert.equal(latest.hooks.beginsAtEnd?.(OTHER_TOPIC), false, "recreated while the tracker runs");
  assert.equal(await latest.hooks.onBatch(batchOf({})), true);
  const { journal } = latest;
  await using next = await createTracked({ from: "latest", journal });
  for (const topic of [TOPIC, OTHER_TOPIC]) assert.equal(next.hooks.beginsAtEnd?.(topic), false);
  assert.equal(next.hooks.beginsAtEnd?.({ ...OTHER_TOPIC, topic: "another" }), true);
});
