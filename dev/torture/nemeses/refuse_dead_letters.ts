import type { Nemesis } from "../nemesis.ts";
import { deadLettersOf, TOPICS } from "../stage.ts";

export default {
  does: "has the dead-letter topic refuse every record for a while",
  visible: "partitions with bad records wait, and readiness says so",
  async strike(stage, [how]) {
    await stage.exclusively("dead letters", async () => {
      const configure = (config: Readonly<Record<string, string>>) =>
        stage.configure(deadLettersOf(TOPICS.main), { "retention.ms": "-1", ...config });
      await configure({ ...stage.setup.deadLetterConfig, "max.message.bytes": "1" });
      stage.tell("the dead-letter topic refuses everything");
      await stage.wait(1_000 + how * 20_000);
      await configure(stage.setup.deadLetterConfig);
      stage.tell("the dead-letter topic accepts records again");
    });
  },
} satisfies Nemesis;
