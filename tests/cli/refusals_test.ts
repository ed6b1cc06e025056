import assert from "node:assert/strict";
import { join } from "node:path";
import { liveBroker } from "../live_broker.ts";
import { createSite, createTopics, type Site } from "../site.ts";

await liveBroker();

function assertOneErrorLine(stderr: string, pattern: RegExp): void {
  assert.match(stderr, pattern);
  assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
}

Deno.test("tracker on a folder that cannot be written: one clear line and exit code 1", async () => {
  await using site = await createSite();
  // A file in place of the folder prevents writing even as root.
  await Deno.writeTextFile(join(site.folder, "occupied"), "");
  const { code, stderr, stdout } = await site.run("tracker", [
    "--logs",
    join(site.folder, "occupied", "logs"),
  ]);
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assertOneErrorLine(stderr, /^error: Cannot open the journal in ".*occupied\/logs"/);
});

Deno.test("producer and tracker on a topic name that the broker rejects: one clear line and exit code 1", async () => {
  await using site = await createSite({ partitions: 0 });
  // Kafka rejects a topic whose name differs from an existing one only in "." and "_".
  const admin = site.kafka.admin();
  await admin.connect();
  await createTopics(admin, [{ topic: `${site.topic}_x`, numPartitions: 1 }]);
  for (const name of ["producer", "tracker"] as const) {
    const { code, stderr } = await site.run(name, [
      ...["--topic", `${site.topic}.x`, "--log-level", "warn"],
      ...(name === "tracker" ? ["--create-topics"] : []),
    ]);
    assert.equal(code, 1);
    assertOneErrorLine(stderr, new RegExp(`^error: creating topic "${site.topic}\\.x" failed: .*`));
  }
  await admin.deleteTopics({ topics: [`${site.topic}_x`] });
  await admin.disconnect();
});

Deno.test("tracker and verify do not create a missing topic: exit code 1 and the nearest existing name", async () => {
  await using site = await createSite();
  await Deno.mkdir(site.logs);
  await Deno.writeTextFile(join(site.logs, "tracker.events"), "");
  const slip = `${site.topic}x`;
  for (
    const [args, advice] of [
      [["--exit-at-end"], "create it \\(--create-topics does\\), or name another with --topic"],
      [["verify", "--json"], "create it, or name another with --topic"],
    ] as const
  ) {
    const { code, stderr, stdout } = await site.run("tracker", [...args, "--topic", slip]);
    assert.deepEqual([code, stdout], [1, ""]);
    const hint = `the nearest existing name is "${site.topic}"`;
    assertOneErrorLine(
      stderr,
      new RegExp(`^error: topic "${slip}" does not exist: ${advice}; ${hint}\n$`),
    );
  }
  const existing = await topicsOf(site);
  assert.deepEqual(existing.filter((name) => name.startsWith(slip)), []);
});

Deno.test("tracker --create-topics creates the topic and its dead-letter topic", async () => {
  await using site = await createSite({ partitions: 0 });
  const { code, stderr } = await site.run("tracker", ["--create-topics", "--exit-at-end"]);
  assert.equal(code, 0, stderr);
  const existing = await topicsOf(site);
  for (const topic of [site.topic, site.deadLetterTopic]) assert.ok(existing.includes(topic));
});

async function topicsOf({ kafka }: Site): Promise<readonly string[]> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await admin.listTopics();
  } finally {
    await admin.disconnect();
  }
}

Deno.test("credentials for a listener without SASL: one line with the reason, and exit code 1", async () => {
  await using site = await createSite({
    partitions: 0,
    env: {
      KAFKA_SECURITY_PROTOCOL: "SASL_PLAINTEXT",
      KAFKA_SASL_MECHANISM: "PLAIN",
      KAFKA_SASL_USERNAME: "user",
      KAFKA_SASL_PASSWORD: "secret",
    },
  });
  const { code, stderr } = await site.run("producer");
  assert.equal(code, 1);
  assertOneErrorLine(stderr, /^error: connecting failed: .*: the listener does not use SASL: /);
});
