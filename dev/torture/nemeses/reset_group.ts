import type { Nemesis } from "../nemesis.ts";
import { GROUP, TOPICS } from "../stage.ts";

export default {
  does: "stops all trackers, moves the group's offsets back, and starts them again",
  visible: "a mark; no record is twice in one journal",
  async strike(stage, [share]) {
    const strike = async () => {
      for (const slot of stage.trackers) await stage.stopTracker(slot);
      const groupId = GROUP;
      const [committed] = await stage.admin.fetchOffsets({ groupId, topics: [TOPICS.main] });
      const partitions = (committed?.partitions ?? []).filter(({ offset }) => Number(offset) > 0)
        .map(({ partition, offset }) => ({
          partition,
          offset: String(Math.floor(Number(offset) * share)),
        }));
      if (partitions.length === 0) return;
      stage.facts.groupWasReset = true;
      await stage.admin.setOffsets({ groupId, topic: TOPICS.main, partitions });
      stage.tell(`group reset to ${Math.round(share * 100)} % of its offsets`);
    };
    const restart = async () => {
      for (const slot of stage.trackers) {
        if (slot.program === undefined) await stage.startTracker(slot);
      }
    };
    // Nobody else may start or stop a tracker or a broker meanwhile. kafkajs moves offsets as a member of the group,
    // and would stay a member forever if the broker went down before it left.
    await stage.trackers.reduce(
      (work, { name }) => () => stage.exclusively(name, work),
      () => stage.exclusively("brokers", strike).finally(restart),
    )();
  },
} satisfies Nemesis;
