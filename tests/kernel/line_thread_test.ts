import assert from "node:assert/strict";
import { LineThread } from "../../lib/kernel/line_thread.ts";
import { createShop } from "../../lib/shop/shop.ts";
import { encodeRecords } from "../../lib/tracker/encode.ts";
import { encodeBatch } from "../kafka/scripted/record_batches.ts";
import { freshBatch } from "./fresh_batch.ts";

const shop = createShop({ seed: 7, countries: ["FR"] });
const CONTEXT = { receivedAt: new Date(0), topicId: "ab", schema: "order" } as const;

function batchOf(recordCount: number): Uint8Array {
  const records = Array.from({ length: recordCount }, (_, index) => ({
    // Every tenth is the caller's to write.
    value: index % 10 === 9 ? "not an order" : JSON.stringify(shop.nextOrder(0)),
    key: "customer-1",
    timestampMs: 1_756_684_800_000 + index,
  }));
  return encodeBatch(records, { baseOffset: 100, leaderEpoch: 3 });
}

Deno.test("LineThread writes the same lines as this thread, and reuses their buffers", async () => {
  using thread = new LineThread();
  for (const recordCount of [1, 500, 90, 800, 500]) {
    for (const mark of [undefined, "the group was reset"]) {
      const context = { ...CONTEXT, ...(mark !== undefined && { mark }) };
      const fresh = freshBatch(batchOf(recordCount), 101);
      const wanted = await encodeRecords(fresh, context);
      const together = [1, 2, 3].map(() => encodeRecords(fresh, context, thread));
      for (const encoded of await Promise.all(together)) {
        assert.deepEqual(encoded, wanted);
        thread.reuse(encoded.lines);
      }
      assert.equal(wanted.lineEnds.length, recordCount - 1);
    }
  }
});

Deno.test("lines are written on this thread if the other one ends", async () => {
  const thread = new LineThread();
  const fresh = freshBatch(batchOf(500), 0);
  const wanted = await encodeRecords(fresh, CONTEXT);
  const waiting = encodeRecords(fresh, CONTEXT, thread);
  thread[Symbol.dispose]();
  assert.deepEqual(await waiting, wanted);
});

Deno.test("LineThread rejects a job that the kernel refuses, and goes on with the next", async () => {
  using thread = new LineThread();
  const fresh = freshBatch(batchOf(500), 0);
  const broken = fresh.spans?.map((span) => ({ ...span, bytes: span.bytes.subarray(0, -40) }));
  const writing = encodeRecords({ ...fresh, spans: broken }, CONTEXT, thread);
  await assert.rejects(writing, { name: "RangeError", message: "a record ends past its batch" });
  const { lineEnds } = await encodeRecords(fresh, CONTEXT, thread);
  assert.equal(lineEnds.length, 500);
});

Deno.test("a disposed LineThread starts no thread, which would keep the process alive", async () => {
  const { Worker } = globalThis;
  let startedCount = 0;
  globalThis.Worker = class extends Worker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      startedCount++;
    }
  };
  try {
    const thread = new LineThread();
    const fresh = freshBatch(batchOf(500), 0);
    await encodeRecords(fresh, CONTEXT, thread);
    assert.equal(startedCount, 1);
    thread[Symbol.dispose]();
    const { lineEnds } = await encodeRecords(fresh, CONTEXT, thread);
    assert.deepEqual([lineEnds.length, startedCount], [500, 1]);
  } finally {
    globalThis.Worker = Worker;
  }
});
