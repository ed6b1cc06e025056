// deno-lint-ignore-file no-console -- a program of one's own may write where it likes
/**
 * A program with a handler behind the tracker, as another would write it; what the handler does is told by
 * the order's sequence. Prints a line a call.
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
