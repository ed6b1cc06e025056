import type { Nemesis } from "../nemesis.ts";
import { deadLettersOf, TOPICS } from "../stage.ts";

export default {
  does: "deletes the dead-letter topic and creates it again",
  visible: "letters sent before are gone; partitions with bad records wait meanwhile",
  async strike(stage, [how]) {
    const topic = deadLettersOf(TOPICS.main);
    await stage.exclusively("dead letters", async () => {
      stage.facts.lettersWereDeleted = true;
      await stage.deleteTopic(topic);
      await stage.wait(how * 4_000);
      await stage.createDeadLetterTopic("main");
      stage.tell("the dead-letter topic was deleted and created again");
    });
  },
} satisfies Nemesis;
