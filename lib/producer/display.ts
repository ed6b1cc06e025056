/**
 * What a person sees of a run: each delivery at low rates, counts at high ones, and the summary.
 *
 * @module
 */

import { isTerminal, printLine, showStatus, styled } from "../terminal.ts";
import { counted, printable, withThousands } from "../text.ts";
import type { Accounts, ProducerSummary } from "./accounts.ts";
import type { DeliveryReport } from "./delivery.ts";

/** Reports a second up to which each one is shown. */
const SHOWN_A_SECOND_MAX = 10;
const TERMINAL_INTERVAL_MS = 500;
const PIPE_INTERVAL_MS = 10_000;

export class ProducerDisplay implements Disposable {
  readonly #topic: string;
  readonly #accounts: Accounts;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #startedAtMs = performance.now();
  #secondStartedAtMs = 0;
  #reportsThisSecond = 0;
  #shownAcknowledged = 0;

  constructor({ topic, accounts }: { topic: string; accounts: Accounts }) {
    this.#topic = topic;
    this.#accounts = accounts;
    this.#timer = setInterval(
      () => this.#showCounts(),
      isTerminal() ? TERMINAL_INTERVAL_MS : PIPE_INTERVAL_MS,
    );
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  show(report: DeliveryReport): void {
    const now = performance.now();
    if (now - this.#secondStartedAtMs >= 1_000) {
      this.#secondStartedAtMs = now;
      this.#reportsThisSecond = 0;
    }
    if (++this.#reportsThisSecond > SHOWN_A_SECOND_MAX) return;
    printLine(this.#describe(report, now));
    this.#shownAcknowledged = this.#accounts.acknowledged;
  }

  #describe({ parcel, outcome }: DeliveryReport, now: number): string {
    const order = `order ${parcel.sequence}  ${parcel.orderId.slice(0, 8)}`;
    switch (outcome.kind) {
      case "acknowledged": {
        const place = `${this.#topic}[${parcel.partition}] at offset ${outcome.offset}`;
        return `${styled("delivered", "green")}  ${order}  ${place}  ` +
          styled(`${(now - parcel.plannedAtMs).toFixed(1)} ms`, "dim");
      }
      default:
        return `${styled(outcome.kind, "red")}  ${order}  ${printable(outcome.reason)}`;
    }
  }

  #showCounts(): void {
    const { generated, acknowledged, notAcknowledged } = this.#accounts;
    if (acknowledged === this.#shownAcknowledged && isTerminal()) return;
    const seconds = (performance.now() - this.#startedAtMs) / 1_000;
    const rate = withThousands(Math.round(acknowledged / seconds));
    const line =
      `${counted(generated, "order")} generated, ${withThousands(acknowledged)} acknowledged` +
      (notAcknowledged > 0 ? `, ${withThousands(notAcknowledged)} not` : "") + `, ${rate}/s`;
    if (isTerminal()) showStatus(line);
    else printLine(line);
  }
}

/** The summary as a few lines for a person. */
export function describeSummary(summary: ProducerSummary): readonly string[] {
  const { latency_ms: latency } = summary;
  const accounts = [
    `${withThousands(summary.acknowledged)} acknowledged`,
    `${withThousands(summary.failed)} failed`,
    `${withThousands(summary.undelivered)} undelivered`,
    `${withThousands(summary.unknown)} unknown`,
  ];
  return [
    `${counted(summary.generated, "order")} generated = ${accounts.join(" + ")}`,
    `${summary.seconds} s, ${
      withThousands(summary.rate)
    } orders/s, ${summary.mb_per_second} MB/s; ` +
    `latency p50 ${latency.p50.toFixed(1)} ms, p99 ${latency.p99.toFixed(1)} ms, max ${
      latency.max.toFixed(1)
    } ms`,
  ];
}
