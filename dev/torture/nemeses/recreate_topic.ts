import type { Nemesis } from "../nemesis.ts";
import { TOPICS } from "../stage.ts";

export default {
  does: "deletes a topic and creates it again under the same name",
  visible: "a mark; the new topic is read from its beginning",
  async strike(stage, [which, how]) {
    const role = which < 0.8 ? "main" : "other";
    const { incarnations } = stage.facts;
    await stage.exclusively(`topic ${role}`, async () => {
      incarnations[role]++; // what is on its way now belongs to neither
      await stage.admin.deleteTopics({ topics: [TOPICS[role]] });
      await stage.wait(how * 2_000);
      await stage.createTopic(role);
      incarnations[role]++;
      stage.tell(`topic "${role}" deleted and created again`);
    });
  },
} satisfies Nemesis;
