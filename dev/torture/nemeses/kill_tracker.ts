import type { Nemesis } from "../nemesis.ts";
import { pick } from "../schedule.ts";

export default {
  does: "kills a tracker with SIGKILL and starts it again",
  visible: "records that another member also journals; dead letters sent again",
  async strike(stage, [which, how]) {
    const slot = pick(stage.trackers, which);
    await stage.exclusively(slot.name, async () => {
      await stage.killTracker(slot);
      stage.tell(`${slot.name} killed`);
      await stage.wait(how * 4_000);
      await stage.startTracker(slot);
    });
  },
} satisfies Nemesis;
