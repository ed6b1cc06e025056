import assert from "node:assert/strict";
import { classArchive } from "../../dev/class_archive.ts";
import { kafkaJars } from "../../dev/kafka_jars.ts";
import { ReliableProducer } from "../../lib/kafka/producer.ts";
import { CODEC_NAMES } from "../../lib/kafka/protocol/batch_layout.ts";
import { RandomRecords } from "../../lib/producer/payload/random_records.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, hasCommand } from "../site.ts";

await liveBroker();

const hasKcat = await hasCommand("kcat", "-V");
const hasJava = await hasCommand("java", "-version");

/** Returns arguments that make Java start quickly, with Kafka's classes. */
async function quickJava(): Promise<readonly string[]> {
  const jars = await kafkaJars();
  const classes = await classArchive(jars);
  return [
    ...["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"],
    ...(classes ? [`-XX:SharedArchiveFile=${classes}`] : []),
    ...["-cp", `${jars}/*`],
  ];
}

for (const codec of ["gzip", "snappy", "lz4", "zstd"]) {
  Deno.test({
    name:
      `records that librdkafka compressed with ${codec} are journaled and verified byte for byte`,
    ignore: !hasKcat,
    fn: async () => {
      await using site = await createSite({ partitions: 1 });
      const values = Array.from(
        { length: 500 },
        (_, index) => `${index} ${"compress me ".repeat(index % 40)}`,
      );
      const kcat = new Deno.Command("kcat", {
        args: ["-P", "-b", site.broker, "-t", site.topic, "-z", codec, "-X", "linger.ms=50"],
        stdin: "piped",
      }).spawn();
      const writer = kcat.stdin.getWriter();
      await writer.write(new TextEncoder().encode(values.join("\n") + "\n"));
      await writer.close();
      assert.ok((await kcat.status).success);
      const { code, stderr } = await site.run("tracker", [
        "--exit-at-end",
        "--json",
        "--schema",
        "none",
        "--dead-letters",
        "none",
      ]);
      assert.equal(code, 0, stderr);
      assert.deepEqual((await site.journal()).map((line) => line["raw_message"]), values);
      assert.equal((await site.run("tracker", ["verify", "--json"])).code, 0);
    },
  });

  Deno.test({
    name: `records that Kafka's own producer compressed with ${codec} are journaled and verified`,
    ignore: !hasJava,
    fn: async () => {
      await using site = await createSite({ partitions: 1 });
      const { success, stderr: said } = await new Deno.Command("java", {
        args: [
          ...await quickJava(),
          ...["org.apache.kafka.tools.ProducerPerformance"],
          ...[
            "--topic",
            site.topic,
            "--num-records",
            "3000",
            "--record-size",
            "700",
            "--throughput",
            "-1",
          ],
          ...[
            "--producer-props",
            `bootstrap.servers=${site.broker}`,
            `compression.type=${codec}`,
            "linger.ms=20",
          ],
        ],
      }).output();
      assert.ok(success, new TextDecoder().decode(said));
      const { code, stderr } = await site.run("tracker", [
        "--exit-at-end",
        "--json",
        "--schema",
        "none",
        "--dead-letters",
        "none",
      ]);
      assert.equal(code, 0, stderr);
      assert.equal((await site.journal()).length, 3_000);
      const verified = await site.run("tracker", ["verify", "--json"]);
      assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    },
  });
}

Deno.test({
  name:
    "records that our producer compressed with each codec are read by librdkafka and by Kafka's own consumer",
  ignore: !hasKcat || !hasJava,
  fn: async () => {
    await using site = await createSite({ partitions: 1 });
    const producer = new ReliableProducer({ brokers: [site.broker], clientId: "test" });
    const random = new RandomRecords(300, 1);
    const expected: string[] = [];
    for (const compression of CODEC_NAMES) {
      const values = Array.from(
        { length: 400 },
        (_, index) =>
          index % 2 === 0
            ? `${compression} ${index} ${"compress me ".repeat(index % 40)}`
            : random.next().value?.toBase64() ?? "",
      );
      expected.push(...values);
      const records = values.map((value) => ({
        partition: 0,
        key: null,
        value: new TextEncoder().encode(value),
        headers: [],
      }));
      await producer.send({ topic: site.topic, partition: 0, records, compression });
    }
    await producer.close();
    const commands = {
      kcat: ["-C", "-q", "-e", "-b", site.broker, "-t", site.topic, "-o", "beginning"],
      java: [
        ...await quickJava(),
        "-Xlog:disable", // its warnings would be mixed with the records
        ...["org.apache.kafka.tools.consumer.ConsoleConsumer", "--from-beginning"],
        ...["--bootstrap-server", site.broker, "--topic", site.topic],
        ...["--max-messages", String(expected.length)],
      ],
    };
    for (const [command, args] of Object.entries(commands)) {
      const { stdout, stderr } = await new Deno.Command(command, { args }).output();
      const seen = new TextDecoder().decode(stdout).trimEnd().split("\n");
      assert.deepEqual(seen, expected, `${command}: ${new TextDecoder().decode(stderr)}`);
    }
  },
});
