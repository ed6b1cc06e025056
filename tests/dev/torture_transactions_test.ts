import assert from "node:assert/strict";
import { Transactions } from "../../dev/torture/transactions.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, until } from "../site.ts";

await liveBroker();

Deno.test("the judge ignores aborted records that kafkajs returns if two transactions overlap", async () => {
  await using site = await createSite({ partitions: 1 });
  const { kafka, topic } = site;
  const [first, second] = ["first", "second"].map((name) =>
    kafka.producer({
      ...{ transactionalId: `${topic}-${name}`, idempotent: true, maxInFlightRequests: 1 },
    })
  );
  const plain = kafka.producer();
  const consumer = kafka.consumer({ groupId: `${topic}-judge`, maxWaitTimeInMs: 100 });
  assert.ok(first !== undefined && second !== undefined);
  try {
    for (const client of [first, second, plain, consumer]) await client.connect();
    const send = (value: string) => ({ topic, messages: [{ value }] });
    const outer = await first.transaction();
    await outer.send(send("aborted last"));
    const inner = await second.transaction();
    await inner.send(send("aborted first"));
    await inner.abort();
    await outer.abort();
    const committed = await first.transaction();
    await committed.send(send("committed"));
    await committed.commit();
    await plain.send(send("plain"));

    const transactions = new Transactions();
    const shown: { readonly partition: number; readonly offset: number; readonly value: string }[] =
      [];
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      eachBatch: ({ batch }) => {
        transactions.note(batch);
        const { partition, messages } = batch;
        shown.push(
          ...messages.map(({ offset, value }) => ({
            ...{ partition, offset: Number(offset), value: String(value) },
          })),
        );
        return Promise.resolve();
      },
    });
    await until("all records are read", () => shown.some(({ value }) => value === "plain"));
    const left = shown.filter((record) => !transactions.aborted(record));
    assert.deepEqual(shown.map(({ value }) => value), ["aborted last", "committed", "plain"]);
    assert.deepEqual(left.map(({ value }) => value), ["committed", "plain"]);
  } finally {
    for (const client of [first, second, plain, consumer]) await client.disconnect();
  }
});
