import assert from "node:assert/strict";
import { fetchRaw } from "../../../lib/kafka/kafkajs/raw_fetch.ts";
import { openClient } from "../../../lib/kafka/client.ts";
import { committedRecords } from "../../../lib/kafka/protocol/committed_records.ts";
import { createCluster } from "../../../lib/kafka/kafkajs/client_cluster.ts";
import { CorruptBatchError, lastOffsetIn } from "../../../lib/kafka/protocol/record_batch.ts";
import { liveBroker } from "../../live_broker.ts";
import { createSite } from "../../site.ts";
import { encodeBatch, encodeEndMarker } from "../scripted/record_batches.ts";

await liveBroker();

const LENGTH_AT = 8;

Deno.test("committedRecords() refuses a response that ends before the requested offset", async () => {
  await using site = await createSite({ partitions: 1 });
  const { topic } = site;
  const producer = site.kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  await producer.send({
    topic,
    messages: Array.from({ length: 5 }, (_, index) => ({ partition: 0, value: `value ${index}` })),
  });
  await producer.disconnect();
  const cluster = createCluster(openClient({ brokers: [site.broker], clientId: "test" }, "probe"));
  await cluster.connect();
  const { records: bytes } = await fetchRaw(cluster, {
    topic,
    partition: 0,
    offset: 0,
    bytesMax: 1_000_000,
  });
  await cluster.disconnect();
  const read = async (start: number, fetched = bytes) => {
    const parts = committedRecords({
      ...{ topic, partition: 0, start, bytes: fetched },
      abortedTransactions: [],
    });
    return (await Array.fromAsync(parts)).flatMap(({ records }) => records);
  };

  assert.equal(lastOffsetIn(bytes), 4);
  assert.deepEqual((await read(0)).map(({ offset }) => offset), [0, 1, 2, 3, 4]);
  assert.deepEqual((await read(3)).map(({ offset }) => offset), [3, 4]);
  await assert.rejects(read(5), CorruptBatchError);
  await assert.rejects(read(0, bytes.slice(0, -1)), CorruptBatchError);
  for (const length of [-1_000_000, -12, 0, 10]) {
    const damaged = bytes.slice();
    new DataView(damaged.buffer).setInt32(LENGTH_AT, length);
    await assert.rejects(read(0, damaged), CorruptBatchError, `a length of ${length}`);
  }
});

Deno.test("committedRecords() leaves out aborted transactions, in whatever order the broker lists them", async () => {
  const [slow, quick] = [1n, 2n];
  const transactional = (producerId: bigint, baseOffset: number) =>
    encodeBatch([`${producerId}/${baseOffset}`], {
      producerId,
      baseOffset,
      isTransactional: true,
    });
  // `slow` is aborted at offset 5, `quick` at 2; both commit what they send afterwards.
  const bytes = Uint8Array.from([
    transactional(slow, 0),
    transactional(quick, 1),
    encodeEndMarker({ producerId: quick, isCommit: false, baseOffset: 2 }),
    transactional(quick, 3),
    transactional(slow, 4),
    encodeEndMarker({ producerId: slow, isCommit: false, baseOffset: 5 }),
    encodeEndMarker({ producerId: quick, isCommit: true, baseOffset: 6 }),
    transactional(slow, 7),
    encodeEndMarker({ producerId: slow, isCommit: true, baseOffset: 8 }),
    encodeBatch(["9"], { baseOffset: 9 }),
  ].flatMap((batch) => [...batch]));
  // Sorted by their ends, as a broker keeps them, and by their beginnings.
  const byEnd = [{ producerId: quick, firstOffset: 1 }, { producerId: slow, firstOffset: 0 }];
  for (const abortedTransactions of [byEnd, byEnd.toReversed()]) {
    const parts = committedRecords({
      topic: "orders",
      partition: 0,
      start: 0,
      bytes,
      abortedTransactions,
    });
    const records = (await Array.fromAsync(parts)).flatMap((part) => part.records);
    assert.deepEqual(records.map(({ offset }) => offset), [3, 7, 9]);
  }
});
