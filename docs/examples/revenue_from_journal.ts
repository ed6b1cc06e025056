#!/usr/bin/env -S deno run --no-prompt --allow-read --allow-env=NODE_ENV,KAFKAJS_*
// deno-lint-ignore-file no-console -- a program of one's own may write where it likes
/**
 * What a tracker's journal says, without Kafka: the revenue of all valid orders, by currency.
 *
 *     deno run -A docs/examples/revenue_from_journal.ts logs/tracker.events
 *
 * @module
 */

import { decodeEvent, judgeOrderText } from "../../mod.ts";

const [path = "logs/tracker.events"] = Deno.args;
const revenue = new Map<string, number>();
let held = "";

function count(line: string): void {
  const { value } = decodeEvent(line);
  const judgement = judgeOrderText(new TextDecoder().decode(value ?? new Uint8Array()));
  if (judgement.kind !== "order") return;
  const { currency = "EUR", total } = judgement.order;
  revenue.set(currency, (revenue.get(currency) ?? 0) + Math.round(total * 100));
}

const file = await Deno.open(path);
for await (const text of file.readable.pipeThrough(new TextDecoderStream())) {
  const lines = (held + text).split("\n");
  // The last line may be in the middle of being written.
  held = lines.pop() ?? "";
  lines.forEach(count);
}
for (const [currency, cents] of revenue) console.log(`${(cents / 100).toFixed(2)} ${currency}`);
