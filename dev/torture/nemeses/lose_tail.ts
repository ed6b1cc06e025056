import { join } from "node:path";
import type { Nemesis } from "../nemesis.ts";
import { TOPICS } from "../stage.ts";

export default {
  nodes: 1,
  does: "kills the broker and cuts the end off a partition's log, as a power loss does",
  visible: "acknowledged records are gone from the topic; the journal keeps them, with a mark",
  async strike(stage, [which, share, pause]) {
    const partition = Math.floor(which * stage.partitionCounts.main);
    await stage.exclusively("brokers", async () => {
      for (const node of stage.nodes) {
        await node.process?.kill();
        const folder = join(node.dataDir, "kafka", `${TOPICS.main}-${partition}`);
        const logs = [...Deno.readDirSync(folder)].map(({ name }) => name)
          .filter((name) => name.endsWith(".log")).sort();
        const path = join(folder, logs.at(-1) ?? "");
        const { size } = await Deno.stat(path);
        const kept = share < 0.25 ? 0 : Math.floor(size * share);
        stage.facts.truncatedUntilMs.set(`main/${partition}`, Infinity);
        await Deno.truncate(path, kept);
        stage.tell(`partition ${partition} lost ${size - kept} of ${size} bytes of its log`);
        await stage.wait(pause * 2_000);
        await stage.startNode(node);
        stage.facts.truncatedUntilMs.set(`main/${partition}`, performance.now());
      }
    });
  },
} satisfies Nemesis;
