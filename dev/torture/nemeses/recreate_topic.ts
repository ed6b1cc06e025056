import { topicIdOf } from "../evidence.ts";
import { writeBurst } from "../load.ts";
import type { Nemesis } from "../nemesis.ts";
import { TOPICS } from "../stage.ts";

/** So far past the old end that an unaware tracker continues reading. */
const BURST_MORE = 20;

export default {
  does:
    "deletes a topic and creates it again, perhaps unseen by its trackers and as long as it was",
  visible: "a mark; the new topic is read from its beginning",
  async strike(stage, [which, how, unseen]) {
    const role = which < 0.8 ? "main" : "other";
    const topic = TOPICS[role];
    const { incarnations, formerTopics } = stage.facts;
    await stage.exclusively(`topic ${role}`, async () => {
      const offsets = await stage.admin.fetchTopicOffsets(topic);
      const ends = new Map(offsets.map((it) => [it.partition, Number(it.high) + BURST_MORE]));
      const signal = (name: Deno.Signal) => {
        for (const { program } of stage.trackers) program?.signal(name);
      };
      const id = topicIdOf(stage, topic);
      const incarnation = incarnations[role]++; // records in flight now belong to neither
      if (unseen < 0.5) signal("SIGSTOP");
      try {
        await stage.deleteTopic(topic);
        formerTopics.set(id, incarnation);
        if (unseen >= 0.5) await stage.wait(how * 2_000);
        await stage.createTopic(role);
        if (unseen < 0.5) await writeBurst(stage, { role, ends });
      } finally {
        signal("SIGCONT");
        incarnations[role]++;
      }
      const unnoticed = unseen < 0.5 ? ", unseen by the trackers" : "";
      stage.tell(`topic "${role}" deleted and created again${unnoticed}`);
    });
  },
} satisfies Nemesis;
