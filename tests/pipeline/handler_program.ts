// deno-lint-ignore-file no-console -- a user's program may print
/**
 * A program that embeds the tracker with a handler, as a user would write it. The order's sequence determines what
 * the handler does. Prints one line per call.
 */

import { openTracker, PermanentError } from "../../mod.ts";

const [broker = "", topic = "", groupId = "", logs = "", deadLetterTopic = ""] = Deno.args;

await using tracker = await openTracker({
  connection: { brokers: [broker], clientId: "handler-test" },
  topic,
  groupId,
  logs,
  from: "earliest",
  deadLetterTopic,
  schema: "order",
  logLevel: "error",
  retryPolicy: { waitMsMin: 10, waitMsMax: 40, timeoutMs: 200 },
  onOrder: async (order, { attempt, record }) => {
    console.log(`${record.partition} ${order.sequence} ${attempt}`);
    if (order.sequence === 2 && attempt < 3) throw new Error("transient");
    if (order.sequence === 3) throw new PermanentError("permanent");
    if (order.sequence === 4) throw new Error("always");
    if (order.sequence === 5) await new Promise(() => {});
  },
});
await tracker.run({ stop: new AbortController().signal, exitAtEnd: true });
console.log(JSON.stringify(tracker.metrics.totals()));
Deno.exit(0);
