import assert from "node:assert/strict";
import { kafkaJars } from "../../dev/kafka_jars.ts";

Deno.test("kafkaJars() does not use an interrupted download, and runs Maven once", async (t) => {
  const root = await Deno.makeTempDir({ prefix: "orderflow-jars-" });
  const folders = () => [...Deno.readDirSync(root)].map(({ name }) => name);
  const messages: string[] = [];
  const onProgress = (message: string) => messages.push(message);
  try {
    await t.step("an interrupted download leaves nothing", async () => {
      const interrupt = new AbortController();
      await assert.rejects(
        kafkaJars({
          root,
          signal: interrupt.signal,
          onProgress: () => interrupt.abort(new Error("interrupted")),
        }),
        { message: "interrupted" },
      );
      assert.deepEqual(folders(), []);
    });

    await t.step("the complete folder runs the broker and the tools", async () => {
      const folder = await kafkaJars({ root, onProgress });
      assert.equal(messages[0], "fetching Kafka's jars through Maven, once");
      const jars = [...Deno.readDirSync(folder)].map(({ name }) => name);
      for (const part of ["kafka_2.13", "kafka-tools", "kafka-clients", "slf4j-simple"]) {
        assert.ok(jars.some((jar) => jar.startsWith(`${part}-`)), `no ${part} among ${jars}`);
      }
      for (const codec of ["zstd-jni", "snappy-java", "lz4-java"]) {
        assert.ok(jars.some((jar) => jar.startsWith(`${codec}-`)), `no ${codec} among ${jars}`);
      }
      assert.equal(folders().length, 1);
    });

    await t.step("a second call downloads and prints nothing", async () => {
      messages.length = 0;
      await kafkaJars({ root, onProgress });
      assert.deepEqual(messages, []);
    });
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
