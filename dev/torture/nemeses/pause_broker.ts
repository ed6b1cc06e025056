import type { Nemesis } from "../nemesis.ts";
import { pick } from "../schedule.ts";
import { signal } from "../stage.ts";

export default {
  does: "pauses a broker with SIGSTOP",
  visible: "delays; a leader that was replaced meanwhile comes back with an old view",
  async strike(stage, [which, how]) {
    const node = pick(stage.nodes, which);
    await stage.exclusively("brokers", async () => {
      signal(node, "SIGSTOP");
      stage.tell(`broker ${node.id} paused`);
      await stage.wait(500 + how * 9_000);
      signal(node, "SIGCONT");
      stage.tell(`broker ${node.id} continues`);
    });
  },
} satisfies Nemesis;
