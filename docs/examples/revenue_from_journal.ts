#!/usr/bin/env -S deno run --no-prompt --allow-read --allow-env=NODE_ENV,KAFKAJS_*
// deno-lint-ignore-file no-console -- a program of one's own may write where it likes
/**
 * What a tracker's journal says, without Kafka: the revenue of all valid orders, by currency.
 *
 *     deno run -A docs/examples/revenue_from_journal.ts logs
 *
 * @module
 */

import { judgeOrderText, readJournal } from "../../mod.ts";

const [folder = "logs"] = Deno.args;
const revenue = new Map<string, number>();
const decoder = new TextDecoder();

for await (const { value } of readJournal(folder)) {
  const judgement = judgeOrderText(decoder.decode(value ?? new Uint8Array()));
  if (judgement.kind !== "order") continue;
  const { currency = "EUR", total } = judgement.order;
  revenue.set(currency, (revenue.get(currency) ?? 0) + Math.round(total * 100));
}
for (const [currency, cents] of revenue) console.log(`${(cents / 100).toFixed(2)} ${currency}`);
