import assert from "node:assert/strict";
import { ReliableProducer } from "../../lib/kafka/producer.ts";
import type { KafkaRecord, OutgoingRecord } from "../../lib/record.ts";
import { TopicReader } from "../../lib/kafka/topic_reader.ts";
import { Random } from "../../lib/shop/random.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, readTopic, type Site } from "../site.ts";

await liveBroker();

const NOW_MS = Date.now();

function randomRecords(random: Random, count: number): OutgoingRecord[] {
  const below = (limit: number) => Math.floor(random.unit() * limit);
  const bytes = () =>
    below(5) === 0 ? null : Uint8Array.from({ length: below(300) }, () => below(256));
  return Array.from({ length: count }, () => ({
    partition: 0,
    key: bytes(),
    value: bytes(),
    headers: Array.from({ length: below(4) }, () => ({ key: `ключ-${below(3)}`, value: bytes() })),
    ...(below(2) === 0 && { timestampMs: NOW_MS - below(1_000_000_000) }),
  }));
}

async function read({ broker, topic }: Site, end: number): Promise<readonly KafkaRecord[]> {
  const connection = { brokers: [broker], clientId: "test" };
  await using reader = await TopicReader.connect(connection, "probe");
  const batches = await Array.fromAsync(reader.read({ topic, partition: 0, start: 0, end }));
  return batches.flat();
}

for (const compression of ["none", "gzip", "snappy", "lz4", "zstd"] as const) {
  Deno.test(`ReliableProducer's records (${compression}) are read back unchanged: header order, nulls, and timestamps`, async () => {
    await using site = await createSite({ partitions: 1 });
    const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
    const random = new Random(seed);
    const producer = new ReliableProducer({ brokers: [site.broker], clientId: "test" });
    const sent: OutgoingRecord[] = [];
    for (let size = 1; size <= 200; size += 40) {
      const records = randomRecords(random, size);
      await producer.send({ topic: site.topic, partition: 0, records, compression });
      sent.push(...records);
    }
    await producer.close();
    const seen = await read(site, sent.length);
    assert.equal(seen.length, sent.length, `seed ${seed}`);
    for (const [offset, record] of sent.entries()) {
      const { key, value, headers, timestampMs } = seen[offset] ?? {};
      const list = (bytes: Uint8Array | null | undefined) => bytes && [...bytes];
      assert.deepEqual(
        [list(key), list(value), headers?.map((each) => [each.key, list(each.value)])],
        [
          list(record.key),
          list(record.value),
          record.headers.map((each) => [each.key, list(each.value)]),
        ],
        `seed ${seed}, offset ${offset}`,
      );
      if (record.timestampMs === undefined) assert.ok((timestampMs ?? 0) >= NOW_MS);
      else assert.equal(timestampMs, record.timestampMs);
    }
    // The client's own consumer, which has no other codec, reads as many records.
    if (compression === "none" || compression === "gzip") {
      assert.equal((await readTopic(site)).length, sent.length);
    }
  });
}

Deno.test("ReliableProducer.send() refuses records of another partition before it sends anything", async () => {
  await using site = await createSite({ partitions: 2 });
  const producer = new ReliableProducer({ brokers: [site.broker], clientId: "test" });
  const records = [{ partition: 1, key: null, value: null, headers: [] }];
  await assert.rejects(producer.send({ topic: site.topic, partition: 0, records }), {
    name: "RangeError",
    message: "expected records for partition 0, got 1",
  });
  await producer.close();
  assert.equal((await readTopic(site)).length, 0);
});
