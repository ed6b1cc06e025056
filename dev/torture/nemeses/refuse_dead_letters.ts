import type { Nemesis } from "../nemesis.ts";
import { deadLettersOf, TOPICS } from "../stage.ts";

export default {
  does: "has the dead-letter topic refuse every record for a while",
  visible: "partitions with bad records wait, and readiness says so",
  async strike(stage, [how]) {
    await stage.exclusively("dead letters", async () => {
      const topic = deadLettersOf(TOPICS.main);
      await stage.configure(topic, { ...stage.deadLetterConfig, "max.message.bytes": "1" });
      stage.tell("the dead-letter topic refuses everything");
      await stage.wait(1_000 + how * 20_000);
      await stage.configure(topic, stage.deadLetterConfig);
      stage.tell("the dead-letter topic accepts records again");
    });
  },
} satisfies Nemesis;
