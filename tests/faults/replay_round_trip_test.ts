import assert from "node:assert/strict";
import { createHash, type Hash } from "node:crypto";
import { startBrokerCluster } from "../../dev/broker_cluster.ts";
import { createReplaySite } from "../resend/replay_site.ts";
import { onFreePorts } from "../on_free_ports.ts";
import { type Site, until, withAdmin } from "../site.ts";
import { headersByPlace, orderedHeaders } from "../header_order.ts";
import { between, fill, IS_LONG, say, seededChoices } from "./fault_site.ts";

const NODES = 3;
/** `ORDERFLOW_RECORDS` sets a smaller number. */
const COUNT = Number(Deno.env.get("ORDERFLOW_RECORDS") ?? 1_000_000);
const ROUNDS = 6;
const TEST_TIMEOUT_MS = 3_600_000;

/** Returns, by partition, the count and the SHA-256 in order of the records that a read_committed consumer sees. */
async function digestsOf({ kafka }: Site, topic: string): Promise<ReadonlyMap<number, string>> {
  const counts = new Map<number, number>();
  const hashes = new Map<number, Hash>();
  const positions = new Map<number, number>();
  const ends = await withAdmin({ kafka }, (admin) => admin.fetchTopicOffsets(topic));
  using _ordered = headersByPlace();
  const consumer = kafka.consumer({ groupId: crypto.randomUUID(), maxWaitTimeInMs: 100 });
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    positions.set(payload.partition, Number(payload.lastOffset) + 1);
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: ({ batch }) => {
      const hash = hashes.get(batch.partition) ?? createHash("sha256");
      hashes.set(batch.partition, hash);
      for (const { key, value, headers, timestamp } of batch.messages) {
        const fields = [key, value, ...orderedHeaders(headers).flat()];
        for (const field of [...fields, timestamp]) {
          const bytes = typeof field === "string" ? new TextEncoder().encode(field) : field;
          hash.update(`${bytes?.length ?? "null"} `);
          if (bytes) hash.update(bytes);
        }
        counts.set(batch.partition, 1 + (counts.get(batch.partition) ?? 0));
      }
      return Promise.resolve();
    },
  });
  await until(
    "all is read",
    () => ends.every(({ partition, high }) => (positions.get(partition) ?? 0) >= Number(high)),
    TEST_TIMEOUT_MS,
  );
  await consumer.disconnect();
  return new Map(
    [...hashes].sort(([a], [b]) => a - b)
      .map(([partition, hash]) => [partition, `${counts.get(partition)} ${hash.digest("hex")}`]),
  );
}

/**
 * Goal: a journal can be replayed exactly, whatever happens meanwhile.
 * Method: a topic on three nodes is journaled, and replayed while nodes are killed in turn and restarted, and the
 * replay is killed and run again.
 * Invariants: the last run verifies it; kafkajs's consumer reads the same records in the same order in both topics.
 */
Deno.test({
  name:
    "a journal replayed to three nodes, each of which is killed, reads the same as the original topic",
  ignore: !IS_LONG,
  fn: async () => {
    const choices = seededChoices();
    const dataDir = await Deno.makeTempDir({ prefix: "orderflow-round-trip-" });
    const cluster = await onFreePorts(
      NODES,
      (ports) => startBrokerCluster({ ports, dataDir, quickStart: true }),
    );
    try {
      await using replaying = await createReplaySite(cluster.address);
      const { site, to } = replaying;
      await withAdmin(site, (admin) =>
        admin.createTopics({
          topics: [{ topic: site.topic, numPartitions: 6, replicationFactor: NODES }],
        }));
      const count = await fill(site, { count: COUNT, badPercent: 1 });
      const { code } = await site.run("tracker", ["--exit-at-end", "--json", "--rotate", "256MB"]);
      assert.equal(code, 0);

      const args = ["--logs", site.logs, "--create-topics", "--json"];
      for (let round = 0; round < ROUNDS; round++) {
        const program = await replaying.start([...args, "--rate", String(COUNT / 10)]);
        let hasEnded = false;
        program.exitCode.then(() => hasEnded = true);
        const waitMs = between(choices, {
          min: 2_000,
          max: 15_000,
        });
        await new Promise((resolve) => setTimeout(resolve, waitMs));
        say(`round ${round}: ${hasEnded ? "already ended" : "running"} after ${waitMs} ms`);
        const node = cluster.nodes[round % NODES];
        await node?.kill();
        await new Promise((resolve) => setTimeout(resolve, 2_000));
        if (round % 2 === 0) program.signal("SIGKILL");
        await cluster.restart(1 + round % NODES);
        if (round % 2 === 0) await program.exitCode;
        else assert.equal(await program.exitCode, 0, program.output.stderr);
      }
      const last = await replaying.replay(["--logs", site.logs]);
      say(`${last.seconds} s for the last run, which sent ${last.sent} of ${count}`);
      assert.deepEqual([last.ok, last.replayed, last.in_topic], [true, count, count]);
      assert.deepEqual(await digestsOf(site, to), await digestsOf(site, site.topic));
    } finally {
      await cluster.stop();
      await Deno.remove(dataDir, { recursive: true });
    }
  },
});
