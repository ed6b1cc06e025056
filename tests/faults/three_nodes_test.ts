import assert from "node:assert/strict";
import { join } from "node:path";
import { ConfigResourceTypes } from "kafkajs";
import { type BrokerCluster, freePorts, startBrokerCluster } from "../../lib/dev/broker_cluster.ts";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { ReliableProducer } from "../../lib/kafka/producer.ts";
import type { KafkaRecord } from "../../lib/kafka/record.ts";
import { loggerOf } from "../../lib/log.ts";
import type { ProducerSummary } from "../../lib/producer/accounts.ts";
import { readLedger } from "../../lib/producer/ledger.ts";
import { DeadLetters } from "../../lib/tracker/dead_letters.ts";
import { deleteSync, killSync, uniqueName } from "../live_broker.ts";
import { recordsOf } from "../pipeline/topic_records.ts";
import { logged } from "./fault_site.ts";
import {
  assertJournalIsTopic,
  countJournalLines,
  createSite,
  type SeenRecord,
  type Site,
  until,
  withAdmin,
} from "../site.ts";

const NODE_IDS = [1, 2, 3] as const;
const NODES = NODE_IDS.length;
const PATIENCE_MS = 60_000;

// Outside every test, so that its processes are no leak of one.
const dataDir = await Deno.makeTempDir({ prefix: "orderflow-nodes-" });
const cluster = await startBrokerCluster({ ports: freePorts(NODES), dataDir, quickStart: true });
globalThis.addEventListener("unload", () => {
  for (const { pid } of cluster.nodes) killSync(pid);
  deleteSync(dataDir);
});

interface Leaders {
  /** Leader of each partition, by node id. */
  readonly leaders: readonly number[];
  /** The fewest replicas in sync of any partition. */
  readonly inSyncMin: number;
}

async function leadersOf(site: Site): Promise<Leaders> {
  const admin = site.kafka.admin();
  await admin.connect();
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [site.topic] });
    const partitions = (topics[0]?.partitions ?? [])
      .toSorted((one, other) => one.partitionId - other.partitionId);
    return {
      leaders: partitions.map(({ leader }) => leader),
      inSyncMin: Math.min(...partitions.map(({ isr }) => isr.length)),
    };
  } finally {
    await admin.disconnect();
  }
}

/** What a broker keeps of a record before it is acknowledged, as the cluster itself says. */
async function assertDurable(site: Site): Promise<void> {
  await withAdmin(site, async (admin) => {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{
        type: ConfigResourceTypes.TOPIC,
        name: site.topic,
        configNames: ["min.insync.replicas"],
      }],
    });
    assert.equal(resources[0]?.configEntries[0]?.configValue, "2");
    const { topics } = await admin.fetchTopicMetadata({ topics: [site.topic] });
    for (const { replicas } of topics[0]?.partitions ?? []) assert.equal(replicas.length, NODES);
  });
}

async function untilAllInSync(site: Site): Promise<void> {
  await until(
    "every replica is in sync",
    async () => (await leadersOf(site).catch(() => undefined))?.inSyncMin === NODES,
    PATIENCE_MS,
  );
}

async function untilJournalGrows(site: Site, by: number): Promise<void> {
  const before = countJournalLines(site.logs);
  await until("the journal grows", () => countJournalLines(site.logs) > before + by, PATIENCE_MS);
}

async function killLeader(cluster: BrokerCluster, site: Site): Promise<void> {
  const [leader = 1] = (await leadersOf(site)).leaders;
  await cluster.nodes[leader - 1]?.kill();
  await until(
    "another node leads",
    async () =>
      !((await leadersOf(site).catch(() => undefined))?.leaders ?? [leader]).includes(leader),
    PATIENCE_MS,
  );
  await untilJournalGrows(site, 300);
  await cluster.restart(leader);
  await untilAllInSync(site);
}

/** Changes who holds the records of each partition; the first that is named is preferred as its leader. */
async function assign(site: Site, replicasOf: readonly (readonly number[])[]): Promise<void> {
  const partitionAssignment = replicasOf.map((replicas, partition) => ({
    partition,
    replicas: [...replicas],
  }));
  await withAdmin(
    site,
    (admin) =>
      admin.alterPartitionReassignments({ topics: [{ topic: site.topic, partitionAssignment }] }),
  );
}

/** Each leader gives its partitions up and lives on: to clients it answers that it does not lead them. */
async function moveLeadership(site: Site): Promise<void> {
  const { leaders } = await leadersOf(site);
  const others = leaders.map((leader) => NODE_IDS.filter((nodeId) => nodeId !== leader));
  await assign(site, others);
  await until(
    "every partition has another leader",
    async () => {
      const now = (await leadersOf(site).catch(() => undefined))?.leaders ?? leaders;
      return now.every((leader, partition) => leader > 0 && leader !== leaders[partition]);
    },
    PATIENCE_MS,
  );
  await untilJournalGrows(site, 300);
  await assign(site, leaders.map((leader, partition) => [...(others[partition] ?? []), leader]));
  await untilAllInSync(site);
}

async function restartOneAfterAnother(cluster: BrokerCluster, site: Site): Promise<void> {
  for (let nodeId = 1; nodeId <= NODES; nodeId++) {
    await cluster.nodes[nodeId - 1]?.stop();
    await cluster.restart(nodeId);
    await untilAllInSync(site);
  }
}

/** What was acknowledged is what is there: each record once, where and as the ledger has it. */
async function assertLedgerIsTopic(path: string, topic: readonly SeenRecord[]): Promise<void> {
  const names: string[] = [];
  const sequences = new Set<number>();
  for await (const { partition, offset, sha256, sequence } of readLedger(path)) {
    names.push(`${partition}/${offset} ${sha256}`);
    sequences.add(sequence);
  }
  assert.equal(sequences.size, names.length, "each order is acknowledged once");
  const stored = topic.map((it) => `${it.partition}/${it.offset} ${it.valueHash}`);
  assert.deepEqual(names.sort(), stored.sort());
  assert.equal(
    new Set(topic.map(({ valueHash }) => valueHash)).size,
    topic.length,
    "none is twice",
  );
}

/**
 * Goal: on a replicated topic nothing that was acknowledged is lost, and nothing comes twice, whichever node goes.
 * Method: three nodes, every record on all of them, two of them enough; producer and tracker run. The leader is killed
 * with SIGKILL and comes back; each partition is led by another node while the old leader lives; then each node in turn
 * is stopped in order and started again.
 * Invariants: the topic has three replicas and wants two in sync; leadership moved; the producer's accounts add up and all is acknowledged; the topic holds what the ledger
 * has, each once; topic and journal agree byte for byte.
 */
Deno.test("three nodes: the leader killed, leadership moved, a rolling restart, under load: nothing lost, nothing twice", async () => {
  await using site = await createSite({ broker: cluster.address, partitions: 0 });
  await Deno.mkdir(site.logs);
  const ledger = join(site.logs, "ledger.jsonl");
  const producer = await site.start("producer", [
    ...["--rate", "300", "--json", "--key", "none", "--ledger", ledger],
  ]);
  const tracker = await site.start("tracker", ["--json"]);
  await until("500 lines", () => countJournalLines(site.logs) > 500, PATIENCE_MS);
  await untilAllInSync(site);
  await assertDurable(site);
  const before = (await leadersOf(site)).leaders;

  await killLeader(cluster, site);
  assert.notDeepEqual((await leadersOf(site)).leaders, before, "leadership moved");
  await moveLeadership(site);
  await restartOneAfterAnother(cluster, site);
  await untilJournalGrows(site, 300);

  producer.signal("SIGTERM");
  assert.equal(await producer.exitCode, 0, producer.output.stderr);
  const summary: ProducerSummary = JSON.parse(producer.output.stdout);
  assert.equal(summary.acknowledged, summary.generated);
  await until(
    "all is journaled",
    () => countJournalLines(site.logs) >= summary.acknowledged,
    PATIENCE_MS,
  );
  tracker.signal("SIGTERM");
  assert.equal(await tracker.exitCode, 0, tracker.output.stderr);
  const topic = await assertJournalIsTopic(site);
  assert.deepEqual(logged(site.logs, /truncated/), [], "no leader lacked a record");
  assert.equal(topic.length, summary.acknowledged);
  await assertLedgerIsTopic(ledger, topic);
});

/**
 * Goal: dead letters outlive a time in which too few replicas of their topic are in sync.
 * Method: the topic wants all three replicas in sync, and one node is stopped while letters are sent, then started again.
 * Invariants: the record that waits is named with topic, partition, offset, error, and what to do; afterwards each letter
 * is in the topic once, unchanged: none was adapted over the error.
 */
Deno.test("dead letters wait while min.insync.replicas is not met, say so, and go unchanged when it is", async () => {
  const connection = { brokers: cluster.address.split(","), clientId: "test" };
  await using client = await ClusterClient.connect(connection, "persist");
  const topic = uniqueName("letters");
  await client.ensureTopic(topic, {
    partitionCount: 1,
    config: { "min.insync.replicas": String(NODES) },
  });
  const producer = new ReliableProducer(connection);
  const deadLetters = new DeadLetters({
    producer,
    topic,
    partitionCount: 1,
    log: loggerOf("test"),
    retryWaitMs: 100,
  });
  await cluster.nodes[NODES - 1]?.stop();
  const records = [7, 8].map((offset): KafkaRecord => ({
    topic: "orders",
    partition: 0,
    offset,
    timestampMs: Date.now(),
    key: null,
    value: new TextEncoder().encode(`bad ${offset}`),
    headers: [],
  }));
  const failure = { reason: "VALIDATION", message: "bad" } as const;
  const sent = deadLetters.send(records.map((record) => ({ record, failure })), () => true);
  await until("they say why they wait", () => deadLetters.blocked.size === 1, PATIENCE_MS);
  const { error = "", ...blocked } = deadLetters.blocked.get(0) ?? {};
  assert.deepEqual(blocked, { topic: "orders", partition: 0, offset: 7 });
  assert.match(error, /NOT_ENOUGH_REPLICAS.*: start the brokers of its replicas, or lower min/);
  await cluster.restart(NODES);
  assert.ok(await sent);
  assert.equal(deadLetters.blocked.size, 0);
  await producer.close();
  const letters = await recordsOf({ broker: connection.brokers[0] ?? "", topic });
  assert.deepEqual(
    letters.map(({ value, timestampMs }) => [value, timestampMs]),
    records.map(({ value, timestampMs }) => [value, timestampMs]),
  );
});
