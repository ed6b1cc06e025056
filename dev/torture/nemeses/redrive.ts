import type { Nemesis } from "../nemesis.ts";
import { deadLettersOf, TOPICS } from "../stage.ts";

export default {
  does: "redrives the dead letters, and kills the redrive one time in three",
  visible: "each source record once more in the topic, and then another letter of it",
  async strike(stage, [how, kill]) {
    const program = await stage.run("tracker", [
      ...["redrive", "--topic", TOPICS.main, "--dead-letters", deadLettersOf(TOPICS.main)],
    ]);
    stage.tell("redrive started");
    await stage.wait(500 + how * 3_000);
    if (kill < 0.33) program.signal("SIGKILL");
    stage.tell(`redrive ended with code ${await program.exitCode}`);
  },
} satisfies Nemesis;
