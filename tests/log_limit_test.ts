import assert from "node:assert/strict";
import type { LogRecord } from "@logtape/logtape";
import { limitedSink } from "../lib/log_limit.ts";

function recordOf(message: string): LogRecord {
  return {
    category: ["orderflow", "tracker", message.startsWith("letter") ? "letters" : "other"],
    level: "warning",
    message: [message],
    rawMessage: message,
    timestamp: 0,
    properties: { offset: 7 },
  };
}

Deno.test("limitedSink() shows the first limited lines of each second, then how many it left out", () => {
  const shown: string[] = [];
  let nowMs = 0;
  {
    using sink = limitedSink((record) => shown.push(record.message.join("")), {
      isLimited: ({ category }) => category.at(-1) === "letters",
      perSecondMax: 2,
      summary: (count) => `${count} more`,
      now: () => nowMs,
    });
    for (let at = 0; at < 5; at++) sink(recordOf(`letter ${at}`));
    sink(recordOf("a trouble"));
    nowMs = 1_000;
    sink(recordOf("letter 5"));
    for (let at = 6; at < 9; at++) sink(recordOf(`letter ${at}`));
  }
  const first = ["letter 0", "letter 1", "a trouble", "3 more"];
  assert.deepEqual(shown, [...first, "letter 5", "letter 6", "2 more"]);
});
