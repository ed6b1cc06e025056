import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { KafkaRecord } from "../../lib/record.ts";
import { createShop } from "../../lib/shop/shop.ts";
import { Random } from "../../lib/shop/random.ts";
import { encodeRecords } from "../../lib/tracker/encode.ts";
import { EncoderPool } from "../../lib/tracker/encoder_pool.ts";
import { SpareBuffers } from "../../lib/tracker/spare_buffers.ts";

const ENCODER = new TextEncoder();
const SHOP = createShop({ seed: 11 });
const CONTEXT = { receivedAt: new Date(0), topicId: "ab", schema: "order" } as const;

/** Good orders, and now and then what is none, without a key, or larger than all others. */
function createRecords(random: Random, count: number): readonly KafkaRecord[] {
  return Array.from({ length: count }, (_, offset) => {
    const order = ENCODER.encode(JSON.stringify(SHOP.nextOrder(0)));
    const odd = [null, ENCODER.encode("{"), new Uint8Array([0xff]), new Uint8Array(100_000)];
    const isOdd = random.uint32() % 20 === 0;
    return {
      topic: "orders",
      partition: 1,
      offset,
      timestampMs: 1_000 + offset,
      key: offset % 7 === 0 ? null : ENCODER.encode(`customer-${offset}`),
      value: isOdd ? odd[random.uint32() % odd.length] ?? null : order,
      headers: offset % 11 === 0 ? [{ key: "h", value: ENCODER.encode("v") }] : [],
      leaderEpoch: offset % 13 === 0 ? undefined : offset % 3,
    };
  });
}

Deno.test("EncoderPool gives the lines of each batch, whatever its size, while buffers go round", async () => {
  const seed = Number(Deno.env.get("ORDERFLOW_SEED") ?? Math.floor(Math.random() * 2 ** 32));
  const random = new Random(seed);
  using pool = new EncoderPool();
  for (let round = 0; round < 8; round++) {
    const batches = Array.from(
      { length: 6 },
      () => createRecords(random, 1 + random.uint32() % 300),
    );
    const encoded = await Promise.all(batches.map((records) => pool.encode(records, CONTEXT)));
    encoded.forEach(({ lines, failures }, index) => {
      const expected = encodeRecords(batches[index] ?? [], CONTEXT);
      const isSame = Buffer.from(lines).equals(Buffer.from(expected.lines));
      assert.ok(isSame, `ORDERFLOW_SEED=${seed}: batch ${index} of round ${round}`);
      assert.deepEqual(failures, expected.failures);
    });
    for (const { lines } of encoded) pool.giveBack(lines);
  }
});

Deno.test("SpareBuffers gives what came back where it is large enough, and not far too large", () => {
  const spare = new SpareBuffers();
  const first = spare.take(1_000);
  assert.ok(first.length >= 1_000);
  spare.put(first.subarray(0, 10));
  assert.notEqual(spare.take(2_000).buffer, first.buffer);
  assert.notEqual(spare.take(10).buffer, first.buffer);
  assert.equal(spare.take(900).buffer, first.buffer);
  assert.notEqual(spare.take(900).buffer, first.buffer);
});
