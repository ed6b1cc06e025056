/**
 * What a person sees of a tracker: each order in a few lines at low rates, counts at high ones.
 *
 * @module
 */

import type { Order } from "../order/schema.ts";
import { isTerminal, printLine, showStatus, styled } from "../terminal.ts";
import { counted, printable, printableShort, withThousands } from "../text.ts";
import type { KafkaRecord } from "../record.ts";
import { type JudgedRecord, judgeRecord, takeAnyRecord } from "./judge.ts";
import type { RecordFailure } from "./failures.ts";
import type { TrackerCounts, TrackerTotals } from "./metrics.ts";

/** Records a second up to which each one is shown. */
const SHOWN_A_SECOND_MAX = 5;
const TERMINAL_INTERVAL_MS = 500;
const PIPE_INTERVAL_MS = 10_000;
const ITEMS_SHOWN_MAX = 4;
const NAME_LENGTH_MAX = 40;
const REASON_LENGTH_MAX = 200;

export class TrackerDisplay implements Disposable {
  readonly #metrics: TrackerCounts;
  readonly #judge: (record: KafkaRecord) => JudgedRecord;
  readonly #timer: ReturnType<typeof setInterval>;
  #secondStartedAtMs = 0;
  #recordsThisSecond = 0;
  #countedReceived = 0;
  #countedAtMs = performance.now();

  constructor(metrics: TrackerCounts, { schema }: { schema: "order" | "none" }) {
    this.#metrics = metrics;
    this.#judge = schema === "order" ? judgeRecord : takeAnyRecord;
    this.#timer = setInterval(
      () => this.#showCounts(),
      isTerminal() ? TERMINAL_INTERVAL_MS : PIPE_INTERVAL_MS,
    );
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  show(records: readonly KafkaRecord[]): void {
    const now = performance.now();
    if (now - this.#secondStartedAtMs >= 1_000) {
      this.#secondStartedAtMs = now;
      this.#recordsThisSecond = 0;
    }
    for (const record of records) {
      if (++this.#recordsThisSecond > SHOWN_A_SECOND_MAX) return;
      for (const line of describeRecord(this.#judge(record))) printLine(line);
    }
  }

  #showCounts(): void {
    const { received, failed } = this.#metrics;
    if (received === this.#countedReceived) return;
    const now = performance.now();
    const rate = (received - this.#countedReceived) / ((now - this.#countedAtMs) / 1_000);
    this.#countedReceived = received;
    this.#countedAtMs = now;
    const line = `${counted(received, "record")} journaled, ${withThousands(failed)} bad, ` +
      `${withThousands(Math.round(rate))}/s`;
    if (isTerminal()) showStatus(line);
    else printLine(line);
  }
}

/** A record in a few lines; everything that came in the message is made printable. */
export function describeRecord({ record, order, failure }: JudgedRecord): readonly string[] {
  const place = styled(`${record.topic}[${record.partition}] offset ${record.offset}`, "dim");
  if (failure !== undefined) return describeFailure(failure, place);
  return order === undefined ? [`record  ${place}`] : describeOrder(order, place);
}

function describeFailure({ reason, message }: RecordFailure, place: string): readonly string[] {
  return [
    `${styled("bad record", "red")}  ${place}`,
    `    ${reason}: ${printableShort(message, REASON_LENGTH_MAX)}`,
  ];
}

function describeOrder(order: Order, place: string): readonly string[] {
  const { customer_info: customer, items } = order;
  const currency = printableShort(order.currency ?? "", NAME_LENGTH_MAX);
  const lines = items.slice(0, ITEMS_SHOWN_MAX).map(({ quantity, item_name, total_price }) =>
    `    ${quantity} x ${printableShort(item_name, NAME_LENGTH_MAX)}  ${total_price.toFixed(2)}`
  );
  if (items.length > ITEMS_SHOWN_MAX) lines.push(`    and ${items.length - ITEMS_SHOWN_MAX} more`);
  const name = printableShort(customer.name, NAME_LENGTH_MAX);
  const level = customer.loyalty_level
    ? ` (${printableShort(customer.loyalty_level, NAME_LENGTH_MAX)})`
    : "";
  return [
    `${styled(`order ${order.sequence}`, "green")}  ${printable(order.order_id)}  ${place}`,
    `    ${name}${level}, ${printableShort(order.status, NAME_LENGTH_MAX)}`,
    ...lines,
    `    total ${styled(`${order.total.toFixed(2)} ${currency}`, "bold")}`,
  ];
}

/** The totals as a few lines for a person. */
export function describeTotals(totals: TrackerTotals): readonly string[] {
  return [
    `${counted(totals.received, "record")} received = ${
      withThousands(totals.processed)
    } processed + ` +
    `${withThousands(totals.failed)} failed (${withThousands(totals.dead_lettered)} dead-lettered)`,
    `${totals.seconds} s, ${withThousands(totals.rate)} records/s` +
    (totals.already_journaled > 0
      ? `; ${counted(totals.already_journaled, "record")} read again that the journal held already`
      : ""),
  ];
}
