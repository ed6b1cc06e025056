import assert from "node:assert/strict";
import { join } from "node:path";
import { liveBroker } from "../live_broker.ts";
import { createSite, createTopics } from "../site.ts";

await liveBroker();

function assertOneErrorLine(stderr: string, pattern: RegExp): void {
  assert.match(stderr, pattern);
  assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
}

Deno.test("tracker on a folder that cannot be written: one clear line and exit code 1", async () => {
  await using site = await createSite();
  // A file where the folder should be: it cannot be written whoever one is, root included.
  await Deno.writeTextFile(join(site.folder, "occupied"), "");
  const { code, stderr, stdout } = await site.run("tracker", [
    "--logs",
    join(site.folder, "occupied", "logs"),
  ]);
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assertOneErrorLine(stderr, /^error: Cannot open the journal in ".*occupied\/logs"/);
});

Deno.test("producer and tracker on a topic name that the broker refuses: one clear line and exit code 1", async () => {
  await using site = await createSite({ partitions: 0 });
  // Kafka takes neither of two topics that differ in "." and "_" only.
  const admin = site.kafka.admin();
  await admin.connect();
  await createTopics(admin, [{ topic: `${site.topic}_x`, numPartitions: 1 }]);
  for (const name of ["producer", "tracker"] as const) {
    const { code, stderr } = await site.run(name, [
      "--topic",
      `${site.topic}.x`,
      "--log-level",
      "warn",
    ]);
    assert.equal(code, 1);
    assertOneErrorLine(stderr, new RegExp(`^error: creating topic "${site.topic}\\.x" failed: .*`));
  }
  await admin.deleteTopics({ topics: [`${site.topic}_x`] });
  await admin.disconnect();
});

Deno.test("tracker verify on a topic that does not exist: one clear line and exit code 1", async () => {
  await using site = await createSite({ partitions: 0 });
  await Deno.mkdir(site.logs);
  await Deno.writeTextFile(join(site.logs, "tracker.events"), "");
  const { code, stderr } = await site.run("tracker", ["verify", "--json"]);
  assert.equal(code, 1);
  assertOneErrorLine(stderr, /^error: topic ".*" does not exist/);
});
