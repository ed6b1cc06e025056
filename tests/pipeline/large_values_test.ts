import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { ReliableProducer } from "../../lib/kafka/producer.ts";
import { VALUE_BYTES_MAX } from "../../lib/limits.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite } from "../site.ts";

await liveBroker();

/**
 * Goal: a record that decompresses to more than any line can hold is accounted for, without affecting others.
 * Invariants: it is journaled once, by size and hash; its neighbors are journaled unchanged; verify agrees; a restart
 * repeats nothing.
 */
Deno.test("a value above the limit is journaled by its size and hash, verified, and not journaled again", async () => {
  await using site = await createSite({ partitions: 1 });
  const value = new Uint8Array(VALUE_BYTES_MAX + 5);
  const producer = new ReliableProducer({ brokers: [site.broker], clientId: "test" });
  const record = { partition: 0, key: null, headers: [] };
  const records = ["before", value, "after"].map((each) => ({
    ...record,
    value: typeof each === "string" ? new TextEncoder().encode(each) : each,
  }));
  await producer.send({ topic: site.topic, partition: 0, records, compression: "gzip" });
  await producer.close();

  const args = ["--exit-at-end", "--json", "--schema", "none", "--dead-letters", "none"];
  for (const run of ["first", "second"]) {
    const { code, stderr } = await site.run("tracker", args);
    assert.equal(code, 0, `${run} run: ${stderr}`);
    const [before, omitted, after, ...more] = await site.journal();
    assert.deepEqual(more, []);
    assert.equal(before?.["raw_message"], "before");
    assert.equal(after?.["raw_message"], "after");
    assert.equal(omitted?.["raw_message"], "");
    assert.equal(omitted?.["message_size"], value.length);
    assert.equal(omitted?.["value_null"], undefined, "it is not a tombstone");
    assert.deepEqual(omitted?.["value_omitted"], {
      size: value.length,
      sha256: createHash("sha256").update(value).digest("hex"),
    });
  }
  const verified = await site.run("tracker", ["verify", "--json"]);
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
});
