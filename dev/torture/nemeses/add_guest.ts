import type { Nemesis } from "../nemesis.ts";

export default {
  does: "runs a tracker of another group on a topic for a while",
  visible: "nothing in the first group; more letters of the same records",
  async strike(stage, [which, how, traits]) {
    const name = `guest-${stage.guests.length + 1}`;
    const slot = await stage.addSlot(name, {
      topic: which < 0.7 ? "main" : "other",
      ...{ rotate: traits < 0.5, compress: traits < 0.3, keep: false, ownDisk: false },
    }, name);
    stage.guests.push(slot);
    await stage.startTracker(slot);
    stage.tell(`${name} has joined with a group of its own`);
    await stage.wait(3_000 + how * 10_000);
    await stage.stopTracker(slot);
    stage.tell(`${name} has left`);
  },
} satisfies Nemesis;
