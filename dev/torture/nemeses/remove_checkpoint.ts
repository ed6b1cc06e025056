import { join } from "node:path";
import type { Nemesis } from "../nemesis.ts";
import { pick } from "../schedule.ts";

export default {
  does: "kills a tracker, deletes its checkpoint, and starts it again",
  visible: "nothing: lines and manifests say what the journal holds",
  async strike(stage, [which]) {
    const slot = pick(stage.trackers, which);
    await stage.exclusively(slot.name, async () => {
      await stage.killTracker(slot);
      await Deno.remove(join(slot.logs, "tracker.checkpoint")).catch(() => {});
      stage.tell(`${slot.name} killed and its checkpoint deleted`);
      await stage.startTracker(slot);
    });
  },
} satisfies Nemesis;
