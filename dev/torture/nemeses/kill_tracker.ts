import { join } from "node:path";
import type { Nemesis } from "../nemesis.ts";
import { pick } from "../schedule.ts";

export default {
  does: "kills a tracker with SIGKILL, perhaps deletes its checkpoint, and starts it again",
  visible: "records that another member also journals; dead letters sent again",
  async strike(stage, [which, how, deletes]) {
    const slot = pick(stage.trackers, which);
    await stage.exclusively(slot.name, async () => {
      await stage.killTracker(slot);
      const isDeleted = deletes < 0.4;
      if (isDeleted) await Deno.remove(join(slot.logs, "tracker.checkpoint")).catch(() => {});
      stage.tell(`${slot.name} killed${isDeleted ? ", its checkpoint deleted" : ""}`);
      await stage.wait(how * 4_000);
      await stage.startTracker(slot);
    });
  },
} satisfies Nemesis;
