/**
 * Shows a tracker's work: each order in a few lines at low rates, counts at high ones.
 */

import type { Order } from "../order/schema.ts";
import { isTerminal, printLine, showStatus, styled } from "../terminal.ts";
import { counted, printable, printableShort, withThousands } from "../text.ts";
import type { KafkaRecord } from "../record.ts";
import { type JudgedRecord, judgeRecord, takeAnyRecord } from "./judge.ts";
import { loggedMessageOf } from "./failures.ts";
import type { TrackerCounts, TrackerTotals } from "./metrics.ts";

/** Good records per second up to which each one is shown. */
const SHOWN_PER_SECOND_MAX = 5;
/** The same for bad records, which take one line each. */
const BAD_SHOWN_PER_SECOND_MAX = 10;
const TERMINAL_INTERVAL_MS = 500;
const PIPE_INTERVAL_MS = 10_000;
const ITEMS_SHOWN_MAX = 4;
const NAME_LENGTH_MAX = 40;
const REASON_LENGTH_MAX = 200;

interface ShownFailure {
  readonly reason: string;
  readonly message: string;
  readonly messageWithoutValues?: string;
}

export class TrackerDisplay implements Disposable {
  readonly #metrics: TrackerCounts;
  readonly #judge: (record: KafkaRecord) => JudgedRecord;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #areLettersShown: boolean;
  readonly #logValues: boolean;
  readonly #shown = new PerSecond(SHOWN_PER_SECOND_MAX);
  readonly #badShown = new PerSecond(BAD_SHOWN_PER_SECOND_MAX);
  #hasSaidThatFewAreShown = false;
  #countedReceived = 0;
  #countedAtMs = performance.now();

  /** @param hasDeadLetters if {@link showBad} is called for each bad record. */
  constructor(
    metrics: TrackerCounts,
    { schema, hasDeadLetters, logValues }: {
      readonly schema: "order" | "none";
      readonly hasDeadLetters: boolean;
      readonly logValues: boolean;
    },
  ) {
    this.#metrics = metrics;
    this.#areLettersShown = hasDeadLetters;
    this.#logValues = logValues;
    this.#judge = schema === "order" ? judgeRecord : takeAnyRecord;
    this.#timer = setInterval(
      () => this.#showCounts(),
      isTerminal() ? TERMINAL_INTERVAL_MS : PIPE_INTERVAL_MS,
    );
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** Shows records that were journaled, while there are few of them. */
  show(records: Iterable<KafkaRecord>): void {
    for (const record of records) {
      if (!this.#shown.hasRoom()) return this.#sayThatFewAreShown();
      const judged = this.#judge(record);
      if (judged.failure !== undefined && this.#areLettersShown) continue;
      this.#shown.take();
      for (const line of describeRecord(judged, { logValues: this.#logValues })) {
        printLine(line);
      }
    }
  }

  /** Shows a record that was sent to the dead-letter topic, in one line. */
  showBad(record: KafkaRecord, failure: ShownFailure): void {
    if (!this.#badShown.hasRoom()) return;
    this.#badShown.take();
    printLine(describeFailure(record, failure, { logValues: this.#logValues }));
  }

  #sayThatFewAreShown(): void {
    if (this.#hasSaidThatFewAreShown) return;
    this.#hasSaidThatFewAreShown = true;
    const max = SHOWN_PER_SECOND_MAX;
    printLine(styled(`more than ${max} records a second: only some are shown; all count`, "dim"));
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

/** Counts what is shown within a second. */
class PerSecond {
  readonly #max: number;
  #startedAtMs = 0;
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  hasRoom(): boolean {
    const now = performance.now();
    if (now - this.#startedAtMs >= 1_000) {
      this.#startedAtMs = now;
      this.#count = 0;
    }
    return this.#count < this.#max;
  }

  take(): void {
    this.#count++;
  }
}

/** Describes a good record in a few lines and a bad one in a single line; everything that came in the message is made printable. */
export function describeRecord(
  { record, order, failure }: JudgedRecord,
  { logValues }: { readonly logValues: boolean },
): readonly string[] {
  if (failure !== undefined) return [describeFailure(record, failure, { logValues })];
  return order === undefined ? [`record  ${placeOf(record)}`] : describeOrder(order, record);
}

function placeOf({ topic, partition, offset }: KafkaRecord): string {
  return styled(`${topic}[${partition}] offset ${offset}`, "dim");
}

function describeFailure(
  record: KafkaRecord,
  failure: ShownFailure,
  { logValues }: { readonly logValues: boolean },
): string {
  const message = loggedMessageOf(failure, { logValues });
  const what = message === undefined ? "" : `: ${printableShort(message, REASON_LENGTH_MAX)}`;
  return `${styled("bad record", "red")}  ${placeOf(record)}  ${failure.reason}${what}`;
}

/** The amounts add up to the total. */
function describeOrder(order: Order, record: KafkaRecord): readonly string[] {
  const { customer_info: customer, items, tax = 0, shipping_fee: shippingFee = 0 } = order;
  const currency = printableShort(order.currency ?? "", NAME_LENGTH_MAX);
  const lines = items.slice(0, ITEMS_SHOWN_MAX).map(({ quantity, item_name, total_price }) =>
    `    ${quantity} x ${printableShort(item_name, NAME_LENGTH_MAX)}  ${total_price.toFixed(2)}`
  );
  const others = items.slice(ITEMS_SHOWN_MAX);
  if (others.length > 0) {
    const sum = others.reduce((total, { total_price }) => total + total_price, 0);
    lines.push(`    and ${others.length} more  ${sum.toFixed(2)}`);
  }
  const name = printableShort(customer.name, NAME_LENGTH_MAX);
  const level = customer.loyalty_level
    ? ` (${printableShort(customer.loyalty_level, NAME_LENGTH_MAX)})`
    : "";
  return [
    `${styled(`order ${order.sequence}`, "green")}  ${printable(order.order_id)}  ${
      placeOf(record)
    }`,
    `    ${name}${level}, ${printableShort(order.status, NAME_LENGTH_MAX)}`,
    ...lines,
    `    tax ${tax.toFixed(2)}, shipping ${shippingFee.toFixed(2)}`,
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
