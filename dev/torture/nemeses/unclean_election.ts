import type { Nemesis } from "../nemesis.ts";
import { pick } from "../schedule.ts";
import { delay, TOPIC_CONFIG, TOPICS } from "../stage.ts";

const ELECTION_MS = 4_000;

export default {
  nodes: 3,
  does: "stops a follower, lets the leader go on alone, kills it, and elects the old follower",
  visible: "acknowledged records are gone from the topic; the journal keeps them, with a mark",
  async strike(stage, [which, alone]) {
    await stage.exclusively("brokers", async () => {
      // The request fails while any partition has no leader.
      const ask = () => stage.admin.fetchTopicMetadata({ topics: [TOPICS.main] });
      const state = () => ask().then(({ topics }) => topics[0]?.partitions ?? [], () => []);
      let partitions = await state();
      while (partitions.length === 0 && !stage.healing.aborted) partitions = await state();
      if (partitions.length === 0) return;
      const chosen = pick(partitions, which);
      const leader = stage.nodes.find(({ id }) => id === chosen.leader);
      const follower = stage.nodes.find(({ id }) => id !== leader?.id && chosen.isr.includes(id));
      if (leader === undefined || follower === undefined) return;
      const affected = partitions.filter(({ replicas }) => replicas.includes(leader.id))
        .map(({ partitionId }) => `main/${partitionId}`);
      const setTruncated = (untilMs: number) => {
        for (const place of affected) stage.facts.truncatedUntilMs.set(place, untilMs);
      };
      setTruncated(Infinity);
      const allowUnclean = (isAllowed: boolean) =>
        stage.configure(TOPICS.main, {
          ...TOPIC_CONFIG,
          "unclean.leader.election.enable": String(isAllowed),
        });
      await follower.process?.kill();
      await stage.wait(2_500 + alone * 5_000);
      await allowUnclean(true);
      await leader.process?.kill();
      await stage.startNode(follower);
      await delay(ELECTION_MS);
      stage.tell(`partition ${chosen.partitionId}: broker ${follower.id} leads with an old log`);
      await stage.startNode(leader);
      await allowUnclean(false);
      setTruncated(performance.now());
    });
  },
} satisfies Nemesis;
