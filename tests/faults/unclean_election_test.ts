import assert from "node:assert/strict";
import { freePorts, startBrokerCluster } from "../../lib/dev/broker_cluster.ts";
import { countJournalLines, createSite, type Site, until, withAdmin } from "../site.ts";
import { PATIENCE_MS, scaled, untilAllCommitted } from "./fault_site.ts";
import { assertTruncated, send, type Truncation } from "./truncations.ts";

const NODES = 3;
const REPLICAS = [1, 2] as const;

interface PartitionState {
  /** Node id; -1 where there is none. */
  readonly leader: number;
  readonly inSync: readonly number[];
}

async function partitionState(site: Site): Promise<PartitionState> {
  return await withAdmin(site, async (admin) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [site.topic] });
    const [partition] = topics[0]?.partitions ?? [];
    return { leader: partition?.leader ?? -1, inSync: partition?.isr ?? [] };
  });
}

async function untilState(
  site: Site,
  what: string,
  isReached: (state: PartitionState) => boolean,
): Promise<void> {
  const reached = async () => {
    const state = await partitionState(site).catch(() => undefined);
    return state !== undefined && isReached(state);
  };
  await until(what, reached, PATIENCE_MS);
}

/** One partition on two of the nodes, of which one alone may acknowledge, and lead without the other's records. */
async function createUncleanTopic(site: Site): Promise<void> {
  const config = { "unclean.leader.election.enable": "true", "min.insync.replicas": "1" };
  await withAdmin(site, (admin) =>
    admin.createTopics({
      topics: [{
        topic: site.topic,
        replicaAssignment: [{ partition: 0, replicas: [...REPLICAS] }],
        configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
      }],
      waitForLeaders: false, // it can fail for a topic that was just created
    }));
}

/**
 * Goal: after an unclean election, under a running tracker, each record that the partition has in the end is journaled.
 * Method: three nodes, two of them with the partition. With both, records come; with the follower killed, more; then the
 * leader is killed and the follower comes back, leads without the latter, and gets other records at the same offsets.
 * In the long form that is done again and again, the two in turn.
 * Invariants: as `assertTruncated` says; the group's commit is the partition's end.
 */
Deno.test("an unclean election under a running tracker: what came in the place of lost records is journaled", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "orderflow-unclean-" });
  const cluster = await startBrokerCluster({ ports: freePorts(NODES), dataDir, quickStart: true });
  try {
    await using site = await createSite({ broker: cluster.address, partitions: 0 });
    await createUncleanTopic(site);
    await untilState(site, "the topic is there", ({ leader }) => leader === REPLICAS[0]);
    const tracker = await site.start("tracker", ["--schema", "none"]);
    const truncations: Truncation[] = [];
    let [leader = 1, follower = 2]: readonly number[] = REPLICAS;
    let end = 0;
    for (let round = 0; round < scaled({ long: 6, short: 1 }); round++) {
      await untilState(site, "both replicas are in sync", ({ inSync }) => inSync.length === 2);
      await send(site, { partition: 0, count: 500, tag: `common ${round}` });
      end += 500;
      // Killed while the tracker starts, a node would test how a tracker starts.
      await untilAllCommitted(site);
      await cluster.nodes[follower - 1]?.kill();
      await untilState(site, "the leader is alone", ({ inSync }) => inSync.join() === `${leader}`);
      const lines = countJournalLines(site.logs);
      await send(site, { partition: 0, count: 500, tag: `lost ${round}` });
      await until(
        "all is journaled",
        () => countJournalLines(site.logs) >= lines + 500,
        PATIENCE_MS,
      );
      await untilAllCommitted(site);

      await cluster.nodes[leader - 1]?.kill();
      await cluster.restart(follower);
      await untilState(site, "the other one leads", (state) => state.leader === follower);
      await send(site, { partition: 0, count: 700, batch: 700, tag: `new ${round}` });
      truncations.push({ partition: 0, offset: end, superseded: 500 });
      end += 700;
      await untilAllCommitted(site);
      if (round + 1 < scaled({ long: 6, short: 1 })) await cluster.restart(leader);
      [leader, follower] = [follower, leader];
    }
    tracker.signal("SIGTERM");
    assert.equal(await tracker.exitCode, 0, tracker.output.stderr);
    await assertTruncated(site, truncations);
  } finally {
    await Promise.all(cluster.nodes.map((node) => node.kill()));
    await Deno.remove(dataDir, { recursive: true });
  }
});
