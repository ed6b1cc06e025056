import { join } from "node:path";
import type { Nemesis } from "../nemesis.ts";
import { pick } from "../schedule.ts";

const CHUNK = new Uint8Array(1024 * 1024);

export default {
  needsRoot: true,
  does: "fills the disk of a tracker's folder, then makes room again",
  visible: "the tracker waits, and says why",
  async strike(stage, [which, how]) {
    const slots = stage.trackers.filter(({ setup }) => setup.ownDisk);
    if (slots.length === 0) return;
    const slot = pick(slots, which);
    await stage.exclusively(`disk of ${slot.name}`, async () => {
      const path = join(slot.logs, "..", "filler");
      using file = await Deno.open(path, { create: true, write: true });
      try {
        while (!stage.healing.aborted) await file.write(CHUNK);
      } catch {
        stage.tell(`disk of ${slot.name} is full`);
      }
      await stage.wait(1_000 + how * 10_000);
      await Deno.remove(path);
      stage.tell(`disk of ${slot.name} has room again`);
    });
  },
} satisfies Nemesis;
