import type { Nemesis } from "../nemesis.ts";
import { TOPICS } from "../stage.ts";

const PARTITIONS_MAX = 6;

export default {
  does: "adds a partition to a topic",
  visible: "its records are read from the beginning within 30 s",
  async strike(stage, [which]) {
    const role = which < 0.8 ? "main" : "other";
    await stage.exclusively(`topic ${role}`, async () => {
      const count = stage.partitionCounts[role] + 1;
      if (count > PARTITIONS_MAX) return;
      await stage.admin.createPartitions({ topicPartitions: [{ topic: TOPICS[role], count }] });
      stage.partitionCounts[role] = count;
      stage.tell(`topic "${role}" has ${count} partitions now`);
    });
  },
} satisfies Nemesis;
