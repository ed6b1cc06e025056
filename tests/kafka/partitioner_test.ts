import assert from "node:assert/strict";
import { keyPartitioner } from "../../lib/kafka/partitioner.ts";
import { hasCommand } from "../site.ts";
import { liveBroker, uniqueName } from "../live_broker.ts";
import { createSite } from "../site.ts";

await liveBroker();

Deno.test("keyPartitioner() returns the partitions expected by Apache Kafka's own murmur2 tests", () => {
  // The hashes of org.apache.kafka.common.utils.UtilsTest.testMurmur2, here as partitions of 2^31 - 1.
  const hashes: readonly (readonly [string, number])[] = [
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
    ["abc", 479470107],
  ];
  for (const partitionCount of [1, 3, 12, 1_000]) {
    const partitionOf = keyPartitioner(partitionCount);
    for (const [key, hash] of hashes) {
      assert.equal(
        partitionOf(new TextEncoder().encode(key)),
        (hash & 0x7fffffff) % partitionCount,
      );
    }
  }
});

Deno.test({
  name: "keyPartitioner() assigns keys to the same partitions as librdkafka's murmur2",
  ignore: !await hasCommand("kcat", "-V"),
  fn: async () => {
    await using site = await createSite({ partitions: 7 });
    const keys = Array.from({ length: 50 }, () => uniqueName("key"));
    const kcat = new Deno.Command("kcat", {
      args: ["-P", "-b", site.broker, "-t", site.topic, "-K", "|", "-X", "partitioner=murmur2"],
      stdin: "piped",
    }).spawn();
    const writer = kcat.stdin.getWriter();
    await writer.write(new TextEncoder().encode(keys.map((key) => `${key}|x\n`).join("")));
    await writer.close();
    assert.equal((await kcat.status).success, true);
    const { stdout } = await new Deno.Command("kcat", {
      args: ["-C", "-b", site.broker, "-t", site.topic, "-e", "-q", "-f", "%k %p\n"],
    }).output();
    const partitionOf = keyPartitioner(7);
    const expected = keys.map((key) => `${key} ${partitionOf(new TextEncoder().encode(key))}`);
    assert.deepEqual(
      new TextDecoder().decode(stdout).trimEnd().split("\n").sort(),
      expected.sort(),
    );
  },
});
