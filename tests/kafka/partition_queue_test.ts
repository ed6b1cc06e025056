import assert from "node:assert/strict";
import { DeliveryError, fateOf } from "../../lib/kafka/errors.ts";
import { BatchSizer, PartitionQueue } from "../../lib/kafka/partition_queue.ts";
import type { OutgoingRecord } from "../../lib/record.ts";
import { recordBytesMax } from "../../lib/kafka/protocol/record_size.ts";
import { Random } from "../../lib/shop/random.ts";

function refusal(reason: string): DeliveryError {
  const cause = Object.assign(new Error(reason), { type: reason });
  return new DeliveryError({ topic: "t", partition: 0, fate: fateOf(cause), reason, cause });
}

interface Numbered {
  readonly id: number;
  readonly bytes: number;
  readonly isBad: boolean;
}

function toRecord({ id, bytes }: Numbered): OutgoingRecord {
  const value = new Uint8Array(bytes);
  new DataView(value.buffer).setUint32(0, id);
  return { partition: 0, key: null, value, headers: [] };
}

/** Simulates a broker's partition that has a size limit and refuses some records. */
async function deliver(
  items: readonly Numbered[],
  { limit, sizer }: { limit: number; sizer: BatchSizer },
) {
  const queue = new PartitionQueue<Numbered>({
    toRecord,
    sizeOf: (item) => recordBytesMax(toRecord(item)),
    sizer,
  });
  queue.push(...items);
  const stored: number[] = [];
  const refused: number[] = [];
  let sends = 0;
  while (queue.length > 0) {
    const outcome = await queue.sendNext((records, batch) => {
      sends++;
      const bytes = records.reduce((sum, record) => sum + recordBytesMax(record), 0);
      if (bytes > limit) return Promise.reject(refusal("MESSAGE_TOO_LARGE"));
      if (batch.some(({ isBad }) => isBad)) return Promise.reject(refusal("INVALID_TIMESTAMP"));
      stored.push(...batch.map(({ id }) => id));
      return Promise.resolve(sends);
    });
    if (outcome.kind !== "refused") continue;
    refused.push(outcome.item.id);
    queue.drop(1);
  }
  return { stored, refused, sends };
}

Deno.test("PartitionQueue stores all records in order, except those that are refused on their own", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Random(seed);
    const share = random.unit() ** 2;
    const items = Array.from({ length: 200 }, (_, id): Numbered => ({
      id,
      bytes: 4 + Math.floor(random.unit() ** 4 * 3_000),
      isBad: random.unit() < share,
    }));
    const limit = 500 + Math.floor(random.unit() * 20_000);
    const isRefused = ({ isBad, bytes }: Numbered) => isBad || bytes + 32 > limit;
    const { stored, refused, sends } = await deliver(items, {
      limit,
      sizer: new BatchSizer(1 + Math.floor(random.unit() * 30_000)),
    });
    const ids = (wanted: boolean) =>
      items.filter((item) => isRefused(item) === wanted).map(({ id }) => id);
    assert.deepEqual([stored, refused], [ids(false), ids(true)], `seed ${seed}`);
    assert.ok(sends <= 3 * items.length, `${sends} sends, seed ${seed}`);
  }
});

Deno.test("PartitionQueue finds one bad record among a thousand in about thirty sends, and needs few more sends than a thousand for all bad", async () => {
  const items = (isBad: (id: number) => boolean) =>
    Array.from({ length: 1_000 }, (_, id): Numbered => ({ id, bytes: 10, isBad: isBad(id) }));
  const one = await deliver(items((id) => id === 617), {
    limit: Infinity,
    sizer: new BatchSizer(1_000_000),
  });
  assert.deepEqual(one.refused, [617]);
  assert.ok(one.sends < 35, `${one.sends} sends`);
  const all = await deliver(items(() => true), {
    limit: Infinity,
    sizer: new BatchSizer(1_000_000),
  });
  assert.equal(all.refused.length, 1_000);
  assert.ok(all.sends < 1_012, `${all.sends} sends`);
});

Deno.test("PartitionQueue learns the topic's limit from a refusal, and shares it with later queues", async () => {
  const sizer = new BatchSizer(64_000);
  const items = Array.from({ length: 1_000 }, (_, id) => ({ id, bytes: 68, isBad: false }));
  const first = await deliver(items, { limit: 10_000, sizer });
  assert.deepEqual(first.refused, []);
  const second = await deliver(items, { limit: 10_000, sizer });
  assert.ok(second.sends < first.sends && second.sends <= 14, `${first.sends}, ${second.sends}`);
});

Deno.test("PartitionQueue keeps the batch if the failure is not a record's fault", async () => {
  const queue = new PartitionQueue<Numbered>({
    toRecord,
    sizeOf: () => 10,
    sizer: new BatchSizer(100),
  });
  queue.push(...[1, 2, 3].map((id) => ({ id, bytes: 4, isBad: false })));
  const outcome = await queue.sendNext(() => Promise.reject(refusal("NOT_ENOUGH_REPLICAS")));
  assert.equal(outcome.kind, "failed");
  assert.equal(queue.length, 3);
  await assert.rejects(queue.sendNext(() => Promise.reject(new TypeError("a slip"))), /a slip/);
  const { length } = queue;
  assert.equal(length, 3);
});
