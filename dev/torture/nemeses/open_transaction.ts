import type { Nemesis } from "../nemesis.ts";
import { pick } from "../schedule.ts";
import { TOPICS } from "../stage.ts";

export default {
  does: "leaves a transaction open for a while, then commits it, aborts it, or vanishes",
  visible: "records that wait behind it; aborted ones in no journal",
  async strike(stage, [which, how, end, count]) {
    const partition = Math.floor(which * stage.partitionCounts.main);
    // A transactional id has only one transaction at a time.
    await stage.exclusively(`transaction ${partition}`, async () => {
      const outcome = pick(["commit", "abort", "vanish"] as const, end);
      const producer = stage.kafka.producer({
        ...{ transactionalId: `torture-${partition}`, transactionTimeout: 6_000 },
        ...{ idempotent: true, maxInFlightRequests: 1 },
      });
      await producer.connect();
      try {
        const transaction = await producer.transaction();
        const messages = Array.from({ length: 1 + Math.floor(count * 20) }, (_, index) => ({
          ...{ key: `${index}`, value: JSON.stringify({ outcome, index }), partition },
        }));
        await transaction.send({ topic: TOPICS.main, messages });
        stage.tell(`transaction open in partition ${partition}; it will ${outcome}`);
        await stage.wait(how * 10_000);
        if (outcome === "commit") await transaction.commit();
        if (outcome === "abort") await transaction.abort();
        // The broker aborts it meanwhile: after the timeout of 6 s, which it checks every 10 s.
        if (outcome === "vanish") await stage.wait(17_000);
        // Nothing may stay open when the judge reads.
        if (outcome === "vanish" && stage.healing.aborted) await transaction.abort();
      } finally {
        await producer.disconnect();
      }
    });
  },
} satisfies Nemesis;
