import type { Nemesis } from "../nemesis.ts";
import { pick } from "../schedule.ts";

export default {
  does: "stops a broker in order and starts it again: its partitions elect other leaders",
  visible: "delays, a higher leader epoch",
  async strike(stage, [which, how]) {
    const node = pick(stage.nodes, which);
    await stage.exclusively("brokers", async () => {
      await node.process?.stop();
      stage.tell(`broker ${node.id} stopped`);
      await stage.wait(how * 3_000);
      await stage.startNode(node);
      stage.tell(`broker ${node.id} is back`);
    });
  },
} satisfies Nemesis;
