import type { Nemesis } from "../nemesis.ts";
import { pick } from "../schedule.ts";

export default {
  does: "kills a broker with SIGKILL and starts it again",
  visible: "delays; nothing is lost, because the operating system keeps what was written",
  async strike(stage, [which, how]) {
    const node = pick(stage.nodes, which);
    await stage.exclusively("brokers", async () => {
      await node.process?.kill();
      stage.tell(`broker ${node.id} killed`);
      await stage.wait(500 + how * 6_000);
      await stage.startNode(node);
      stage.tell(`broker ${node.id} is back`);
    });
  },
} satisfies Nemesis;
