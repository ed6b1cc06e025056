import type { Nemesis } from "../nemesis.ts";
import { pick } from "../schedule.ts";
import { TOPICS } from "../stage.ts";

export default {
  nodes: 3,
  does: "moves a partition to other brokers, which elects another leader",
  visible: "delays, a higher leader epoch",
  async strike(stage, [which, where]) {
    await stage.exclusively("brokers", async () => {
      const partition = Math.floor(which * stage.partitionCounts.main);
      const replicas = pick([[1, 2], [2, 3], [3, 1], [2, 1], [3, 2], [1, 3]], where);
      await stage.admin.alterPartitionReassignments({
        topics: [{ topic: TOPICS.main, partitionAssignment: [{ partition, replicas }] }],
      });
      stage.tell(`partition ${partition} moves to brokers ${replicas.join(" and ")}`);
      // If a broker also goes down, the partition may have no replica left.
      await stage.wait(4_000);
    });
  },
} satisfies Nemesis;
