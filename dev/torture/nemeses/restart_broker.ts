import type { Nemesis } from "../nemesis.ts";
import { pick } from "../schedule.ts";

export default {
  does: "kills a broker with SIGKILL, or stops it cleanly, and starts it again",
  visible: "delays and other leaders; the operating system keeps what a killed broker wrote",
  async strike(stage, [which, how, end]) {
    const node = pick(stage.nodes, which);
    await stage.exclusively("brokers", async () => {
      const isKilled = end < 0.6;
      await (isKilled ? node.process?.kill() : node.process?.stop());
      stage.tell(`broker ${node.id} ${isKilled ? "killed" : "stopped"}`);
      await stage.wait(how * 6_000);
      await stage.startNode(node);
      stage.tell(`broker ${node.id} is back`);
    });
  },
} satisfies Nemesis;
