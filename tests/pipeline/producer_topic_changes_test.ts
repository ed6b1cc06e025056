import assert from "node:assert/strict";
import { join } from "node:path";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import type { ProducerSummary } from "../../lib/producer/accounts.ts";
import { checkLedger } from "../../lib/verify/ledger_check.ts";
import { setQuota } from "../faults/quota.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, createTopics, type Site, until, withAdmin } from "../site.ts";
import { recordsOf } from "./topic_records.ts";

await liveBroker();

type Admin = Parameters<Parameters<typeof withAdmin>[1]>[0];

/** Deletes the topic and creates another with the same name as soon as the cluster permits it. */
async function createAgain(admin: Admin, topic: string, numPartitions: number): Promise<void> {
  await admin.deleteTopics({ topics: [topic] });
  await until("the topic is recreated", async () => {
    try {
      await createTopics(admin, [{ topic, numPartitions }]);
      return true;
    } catch {
      return false;
    }
  });
}

async function untilHolds(admin: Admin, site: Site, { partition, count }: {
  readonly partition: number;
  readonly count: number;
}): Promise<void> {
  await until(`partition ${partition} holds ${count} records`, async () => {
    const offsets = await admin.fetchTopicOffsets(site.topic).catch(() => []);
    return Number(offsets.find((each) => each.partition === partition)?.high ?? 0) >= count;
  });
}

/**
 * Goal: a topic that changes under a producer loses only its old records, and all reports agree.
 * Method: the topic grows from 3 partitions to 5, then is deleted and recreated with 2.
 * Invariants: no order is unknown; the new partitions are used; every order that the summary does not call lost is in
 * the topic, once; the check of the ledger agrees.
 */
Deno.test("producer to a topic that grows and is recreated with fewer partitions: exact accounts, and a ledger that matches the topic", async () => {
  await using site = await createSite({ partitions: 3 });
  const producer = await site.start("producer", [
    ...["--rate", "300", "--key", "order", "--json", "--ledger", "logs/ledger.jsonl"],
    ...["--log-level", "info"],
  ]);
  await withAdmin(site, async (admin) => {
    await untilHolds(admin, site, { partition: 2, count: 10 });
    await admin.createPartitions({ topicPartitions: [{ topic: site.topic, count: 5 }] });
    await untilHolds(admin, site, { partition: 4, count: 5 });
    await createAgain(admin, site.topic, 2);
    await untilHolds(admin, site, { partition: 1, count: 10 });
  });
  producer.signal("SIGTERM");
  assert.equal(await producer.exitCode, 1);
  const { stdout, stderr } = producer.output;
  assert.match(stderr, /more partitions/);
  assert.match(stderr, /deleted and created again/);
  const summary: ProducerSummary = JSON.parse(stdout);
  const { generated, acknowledged, lost_with_topic: lost = 0 } = summary;
  assert.equal(acknowledged, generated, stdout + stderr);
  const records = await recordsOf(site);
  const values = new Set(records.map(({ value }) => value?.toBase64()));
  assert.equal(values.size, records.length, "none is repeated");
  assert.equal(records.length, acknowledged - lost);

  const path = join(site.logs, "ledger.jsonl");
  const connection = { brokers: [site.broker], clientId: "test" };
  await using cluster = await ClusterClient.connect(connection, "probe");
  const { entries, in_topic, different, missing, in_deleted_topic } = await checkLedger({
    cluster,
    connection,
    topic: site.topic,
    path,
  });
  assert.deepEqual(
    { entries, in_topic, different, missing, in_deleted_topic },
    {
      entries: acknowledged,
      in_topic: acknowledged - lost,
      different: 0,
      missing: lost,
      in_deleted_topic: lost,
    },
  );
});

Deno.test("producer over its quota reports the throttling and its duration, and does not treat it as an outage", async () => {
  await using site = await createSite();
  // Quotas apply to the whole cluster, so no other test's producer uses this client id.
  const clientId = site.topic;
  const config = join(site.folder, "config", "client.properties");
  await Deno.mkdir(join(site.folder, "config"));
  await Deno.writeTextFile(config, `bootstrap.servers=${site.broker}\nclient.id=${clientId}\n`);
  await setQuota(site.broker, { clientId, name: "producer_byte_rate", byteRate: 10_000 });
  try {
    const { code, stdout, stderr } = await site.run("producer", [
      ...["--rate", "50", "--count", "100", "--json", "--config", config],
    ]);
    assert.equal(code, 0, stderr);
    const { acknowledged, throttled_ms: throttledMs = 0, seconds } = JSON.parse(stdout);
    assert.equal(acknowledged, 100);
    assert.ok(throttledMs > 100 && throttledMs <= seconds * 1_000, stdout);
    const warnings = stderr.match(/The brokers throttle this producer/g) ?? [];
    assert.ok(warnings.length >= 1 && warnings.length <= 1 + seconds / 5, stderr);
    assert.doesNotMatch(stderr, /No acknowledgement/);
  } finally {
    await setQuota(site.broker, { clientId, name: "producer_byte_rate", byteRate: undefined });
  }
});
