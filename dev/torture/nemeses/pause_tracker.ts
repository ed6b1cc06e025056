import type { Nemesis } from "../nemesis.ts";
import { pick } from "../schedule.ts";

export default {
  does: "pauses a tracker with SIGSTOP, perhaps for longer than its session",
  visible: "its partitions move to another member; what it was writing is not committed",
  async strike(stage, [which, how]) {
    const slot = pick(stage.trackers, which);
    await stage.exclusively(slot.name, async () => {
      const { program } = slot;
      program?.signal("SIGSTOP");
      stage.tell(`${slot.name} paused`);
      await stage.wait(500 + how * 14_000);
      program?.signal("SIGCONT");
      stage.tell(`${slot.name} continues`);
    });
  },
} satisfies Nemesis;
