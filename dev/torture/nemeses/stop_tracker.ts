import type { Nemesis } from "../nemesis.ts";
import { pick } from "../schedule.ts";

export default {
  does: "has a member leave with SIGTERM and join again, perhaps with the other topic in between",
  visible: "exit code 0, rebalances, a topic that nobody reads for a while",
  async strike(stage, [which, how, switches]) {
    const slot = pick(stage.trackers, which);
    const others = switches < 0.5 ? [] : [slot.setup.topic === "main" ? "other" : "main"] as const;
    await stage.exclusively(slot.name, async () => {
      for (const topic of [...others, slot.setup.topic]) {
        await stage.stopTracker(slot);
        stage.tell(`${slot.name} stopped; it joins again with the topic "${topic}"`);
        await stage.wait(how * 4_000);
        slot.topic = topic;
        await stage.startTracker(slot);
        await stage.wait(2_000 + how * 6_000);
      }
    });
  },
} satisfies Nemesis;
