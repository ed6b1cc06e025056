import assert from "node:assert/strict";
import { classArchive } from "../../dev/class_archive.ts";
import { kafkaJars } from "../../dev/kafka_jars.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, hasCommand } from "../site.ts";

await liveBroker();

const hasKcat = await hasCommand("kcat", "-V");
const hasJava = await hasCommand("java", "-version");

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
      const jars = await kafkaJars();
      const classes = await classArchive(jars);
      const quickJava = [
        ...["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"],
        ...(classes ? [`-XX:SharedArchiveFile=${classes}`] : []),
      ];
      const { success, stderr: said } = await new Deno.Command("java", {
        args: [
          ...quickJava,
          ...["-cp", `${jars}/*`, "org.apache.kafka.tools.ProducerPerformance"],
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
