import assert from "node:assert/strict";
import { DeliveryError, type Fate } from "../../lib/kafka/errors.ts";
import {
  Delivery,
  type DeliveryReport,
  type FindStored,
  type PlannedRecord,
  type Send,
} from "../../lib/producer/delivery.ts";

function record(sequence: number, { partition = 0, bytes = 10 } = {}): PlannedRecord {
  return {
    orderId: `order-${sequence}`,
    sequence,
    partition,
    key: null,
    value: new Uint8Array(bytes),
    plannedAtMs: 0,
  };
}

function rejection(fate: Fate, reason: string): DeliveryError {
  return new DeliveryError({
    topic: "orders",
    partition: 0,
    fate,
    reason,
    cause: new Error(reason),
  });
}

function createDelivery(
  send: Send,
  {
    batchBytesMax = 1_000,
    partitionCount = 2,
    findStored = () => Promise.reject(new Error("must not be read")),
  }: {
    batchBytesMax?: number;
    partitionCount?: number;
    findStored?: FindStored;
  } = {},
) {
  const reports: DeliveryReport[] = [];
  const lookups: [string, number][] = [];
  const topic = { topicId: "topic", partitionCount };
  const delivery = new Delivery({
    topic,
    findTopic: () => Promise.resolve(topic),
    batchBytesMax,
    send,
    findStored,
    areStored: () => Promise.reject(new Error("the topic is the same")),
    onLookup: (result, recordCount) => lookups.push([result, recordCount]),
    onReport: (report) => reports.push(report),
  });
  return {
    delivery,
    reports,
    lookups,
    outcomes: () =>
      reports.toSorted((one, other) => one.record.sequence - other.record.sequence)
        .map(({ record, outcome }) => [record.sequence, outcome.kind]),
  };
}

Deno.test("Delivery has one send in flight per partition, and partitions are independent", async () => {
  const inFlight = new Map([[0, 0], [1, 0]]);
  let most = 0;
  let both = false;
  const { delivery, reports } = createDelivery(async (partition) => {
    const count = (inFlight.get(partition) ?? 0) + 1;
    inFlight.set(partition, count);
    most = Math.max(most, count);
    both ||= [...inFlight.values()].every((each) => each > 0);
    await new Promise((resolve) => setTimeout(resolve, 2));
    inFlight.set(partition, count - 1);
    return { baseOffset: 0 };
  }, { batchBytesMax: 100 });
  for (let sequence = 1; sequence <= 40; sequence++) {
    delivery.accept(record(sequence, { partition: sequence % 2 }));
  }
  assert.equal(await delivery.flush(5_000), true);
  assert.equal(most, 1);
  assert.ok(both);
  assert.equal(reports.length, 40);
});

Deno.test("Delivery collects waiting orders into batches of bounded size and gives each order its offset", async () => {
  const batches: number[] = [];
  let offset = 100;
  const { delivery, reports } = createDelivery((_, records) => {
    batches.push(records.length);
    const baseOffset = offset;
    offset += records.length;
    return Promise.resolve({ baseOffset });
  }, { batchBytesMax: 4 * 42, partitionCount: 1 });
  for (let sequence = 1; sequence <= 10; sequence++) delivery.accept(record(sequence));
  await delivery.flush(1_000);
  assert.deepEqual(batches, [4, 4, 2]);
  assert.deepEqual(
    reports.map(({ outcome }) => outcome.kind === "acknowledged" && outcome.offset),
    [100, 101, 102, 103, 104, 105, 106, 107, 108, 109],
  );
});

Deno.test("Delivery sends an order that exceeds the batch size alone", async () => {
  const batches: number[] = [];
  const { delivery } = createDelivery((_, records) => {
    batches.push(records.length);
    return Promise.resolve({ baseOffset: 0 });
  }, { batchBytesMax: 100, partitionCount: 1 });
  for (const bytes of [10, 5_000, 10]) delivery.accept(record(1, { bytes }));
  await delivery.flush(1_000);
  assert.deepEqual(batches, [1, 1, 1]);
});

Deno.test("Delivery counts a rejected send as failed and any other error as unknown", async () => {
  const errors = [
    rejection("refused", "INVALID_RECORD"),
    rejection("unknown", "REQUEST_TIMED_OUT"),
  ];
  const { delivery, outcomes } = createDelivery(() => {
    const error = errors.shift();
    return error ? Promise.reject(error) : Promise.resolve({ baseOffset: 0 });
  }, { batchBytesMax: 1 });
  for (const sequence of [1, 2, 3]) delivery.accept(record(sequence));
  await delivery.flush(1_000);
  assert.deepEqual(outcomes(), [[1, "failed"], [2, "unknown"], [3, "acknowledged"]]);
});

Deno.test("Delivery does not lose good orders batched with one that is too large", async () => {
  const stored: number[] = [];
  const { delivery, outcomes } = createDelivery((_, records) => {
    if (records.some(({ value }) => (value?.byteLength ?? 0) > 500)) {
      return Promise.reject(rejection("refused", "MESSAGE_TOO_LARGE"));
    }
    stored.push(records.length);
    return Promise.resolve({ baseOffset: 0 });
  }, { batchBytesMax: 10_000, partitionCount: 1 });
  [10, 10, 600, 10].forEach((bytes, index) => delivery.accept(record(index + 1, { bytes })));
  await delivery.flush(1_000);
  assert.deepEqual(outcomes(), [[1, "acknowledged"], [2, "acknowledged"], [3, "failed"], [
    4,
    "acknowledged",
  ]]);
});

Deno.test("Delivery.abandon() reports orders in flight as unknown and waiting ones as undelivered, and ignores late responses", async () => {
  const { promise: answer, resolve } = Promise.withResolvers<{ baseOffset: number }>();
  const { delivery, outcomes } = createDelivery(() => answer, {
    batchBytesMax: 1,
    partitionCount: 1,
  });
  for (const sequence of [1, 2, 3]) delivery.accept(record(sequence));
  assert.equal(await delivery.flush(20), false);
  delivery.abandon("no answer");
  resolve({ baseOffset: 0 });
  await answer;
  await Promise.resolve();
  assert.deepEqual(outcomes(), [[1, "unknown"], [2, "undelivered"], [3, "undelivered"]]);
  assert.equal(delivery.unsettledCount, 0);
});

// A partition that stores what it receives and gives unreliable responses to some sends.
function createPartition(answers: readonly ("stored" | "stored, unclear" | "lost, unclear")[]) {
  const log: number[] = [];
  const left = [...answers];
  const send: Send = (_, records) => {
    const answer = left.shift() ?? "stored";
    const baseOffset = log.length;
    if (answer !== "lost, unclear") log.push(...records.map(({ value }) => value?.[0] ?? 0));
    return answer === "stored"
      ? Promise.resolve({ baseOffset })
      : Promise.reject(rejection("unknown", "OUT_OF_ORDER_SEQUENCE_NUMBER"));
  };
  const findStored: FindStored = (_, records, { fromOffset }) => {
    const wanted = String(records.map(({ value }) => value?.[0]));
    for (let offset = fromOffset; offset + records.length <= log.length; offset++) {
      if (String(log.slice(offset, offset + records.length)) === wanted) {
        return Promise.resolve({ baseOffset: offset });
      }
    }
    return Promise.resolve(undefined);
  };
  return { log, send, findStored };
}

function numbered(sequence: number): PlannedRecord {
  return { ...record(sequence), value: new Uint8Array([sequence]) };
}

Deno.test("Delivery finds an order that was stored without a clear response in the topic, and does not resend it", async () => {
  const { log, send, findStored } = createPartition(["stored", "stored, unclear"]);
  const { delivery, reports, lookups } = createDelivery(send, { batchBytesMax: 1, findStored });
  for (const sequence of [1, 2, 3]) delivery.accept(numbered(sequence));
  await delivery.flush(1_000);
  assert.deepEqual(log, [1, 2, 3]);
  assert.deepEqual(
    reports.map(({ outcome }) => outcome.kind === "acknowledged" && outcome.offset),
    [0, 1, 2],
  );
  assert.deepEqual(lookups, [["found", 1]]);
});

Deno.test("Delivery resends an order that it does not find in the topic before the waiting ones", async () => {
  const { log, send, findStored } = createPartition(["stored", "lost, unclear", "lost, unclear"]);
  const { delivery, outcomes, lookups } = createDelivery(send, { batchBytesMax: 1, findStored });
  for (const sequence of [1, 2, 3]) delivery.accept(numbered(sequence));
  await delivery.flush(1_000);
  assert.deepEqual(log, [1, 2, 3]);
  assert.deepEqual(outcomes(), [1, 2, 3].map((sequence) => [sequence, "acknowledged"]));
  assert.deepEqual(lookups, [["sent_again", 1], ["sent_again", 1]]);
});

Deno.test("Delivery reports an order as unknown after three unclear responses, or if the topic cannot be read", async () => {
  const { send, findStored } = createPartition(Array(3).fill("lost, unclear"));
  const bounded = createDelivery(send, { batchBytesMax: 1, findStored });
  for (const sequence of [1, 2]) bounded.delivery.accept(numbered(sequence));
  await bounded.delivery.flush(1_000);
  assert.deepEqual(bounded.outcomes(), [[1, "unknown"], [2, "acknowledged"]]);

  const blind = createDelivery(createPartition(["stored, unclear"]).send);
  blind.delivery.accept(numbered(1));
  await blind.delivery.flush(1_000);
  assert.deepEqual(blind.outcomes(), [[1, "unknown"]]);
});

Deno.test("Delivery does not mistake an earlier order with the same bytes for one without a clear response", async () => {
  const { log, send, findStored } = createPartition(["stored", "lost, unclear"]);
  const { delivery, lookups } = createDelivery(send, { batchBytesMax: 1, findStored });
  for (const _ of [1, 2]) delivery.accept(numbered(7));
  await delivery.flush(1_000);
  assert.deepEqual(log, [7, 7]);
  assert.deepEqual(lookups, [["sent_again", 1]]);
});

Deno.test("Delivery retries the orders of a rejected batch before the waiting ones", async () => {
  for (const reason of ["MESSAGE_TOO_LARGE", "INVALID_RECORD"]) {
    let isFirst = true;
    const order: number[] = [];
    const { delivery } = createDelivery((_, records) => {
      if (isFirst) {
        isFirst = false;
        return Promise.reject(rejection("refused", reason));
      }
      order.push(...records.map(({ value }) => value?.[0] ?? 0));
      return Promise.resolve({ baseOffset: order.length - records.length });
    }, { batchBytesMax: 100, partitionCount: 1 });
    for (let sequence = 1; sequence <= 8; sequence++) delivery.accept(numbered(sequence));
    await delivery.flush(1_000);
    assert.deepEqual(order, [1, 2, 3, 4, 5, 6, 7, 8], reason);
  }
});

Deno.test("Delivery fails only the invalid order of a batch", async () => {
  const { delivery, outcomes } = createDelivery(
    (_, records) =>
      records.some(({ value }) => value?.[0] === 5)
        ? Promise.reject(rejection("refused", "INVALID_TIMESTAMP"))
        : Promise.resolve({ baseOffset: 0 }),
    { batchBytesMax: 10_000, partitionCount: 1 },
  );
  for (let sequence = 1; sequence <= 8; sequence++) delivery.accept(numbered(sequence));
  await delivery.flush(1_000);
  assert.deepEqual(
    outcomes(),
    [1, 2, 3, 4, 5, 6, 7, 8].map((
      sequence,
    ) => [sequence, sequence === 5 ? "failed" : "acknowledged"]),
  );
});

Deno.test("Delivery sends full batches again after an order that was too large", async () => {
  const counts: number[] = [];
  const { delivery } = createDelivery((_, records) => {
    if (records.some(({ value }) => (value?.length ?? 0) > 5_000)) {
      return Promise.reject(rejection("refused", "MESSAGE_TOO_LARGE"));
    }
    counts.push(records.length);
    return Promise.resolve({ baseOffset: 0 });
  }, { batchBytesMax: 10_000, partitionCount: 1 });
  for (let sequence = 1; sequence <= 500; sequence++) {
    delivery.accept(record(sequence, { bytes: sequence === 50 ? 6_000 : 10 }));
  }
  await delivery.flush(1_000);
  assert.ok(Math.max(...counts.slice(-3)) > 100, String(counts));
});
