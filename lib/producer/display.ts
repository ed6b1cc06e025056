/**
 * Shows a run: each delivery at low rates, counts at high ones, and the summary.
 */

import { printErrorLine, printLine, showStatus, styled } from "../terminal.ts";
import { counted, printable, withThousands } from "../text.ts";
import type { LatencySummary } from "../latency.ts";
import type { Accounts, LatencyWindow, ProducerSummary } from "./accounts.ts";
import type { DeliveryReport } from "./delivery.ts";

/** Reports a second up to which each one is shown; after a second with more of them the next shows none. */
const SHOWN_A_SECOND_MAX = 10;
const STATUS_INTERVAL_MS = 500;
/** A timer's usual delay does not count as falling behind. */
const BEHIND_MS_MIN = 100;
/** Nor is a short wait for room. */
const BUFFER_FULL_MS_MIN = 100;

export interface ProducerDisplayOptions {
  readonly topic: string;
  readonly accounts: Accounts;
  /** Noun for what the run sends: `order` or `record`. */
  readonly noun: string;
  /** Progress alone, on standard error: standard output is for the JSON object. */
  readonly isProgressOnly: boolean;
}

export class ProducerDisplay implements Disposable {
  readonly #options: ProducerDisplayOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  #secondStartedAtMs = 0;
  #reportsThisSecond = 0;
  #reportsLastSecond = 0;
  #hasSaidThatFewAreShown = false;

  constructor(options: ProducerDisplayOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#showStatus(), STATUS_INTERVAL_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  show(report: DeliveryReport): void {
    if (this.#options.isProgressOnly) return;
    const now = performance.now();
    if (now - this.#secondStartedAtMs >= 1_000) {
      this.#secondStartedAtMs = now;
      this.#reportsLastSecond = this.#reportsThisSecond;
      this.#reportsThisSecond = 0;
    }
    this.#reportsThisSecond++;
    const reports = Math.max(this.#reportsThisSecond, this.#reportsLastSecond);
    if (reports > SHOWN_A_SECOND_MAX) return this.#sayThatFewAreShown();
    printLine(this.#describe(report));
  }

  #sayThatFewAreShown(): void {
    if (this.#hasSaidThatFewAreShown) return;
    this.#hasSaidThatFewAreShown = true;
    const max = SHOWN_A_SECOND_MAX;
    printLine(
      styled(
        `more than ${max} ${this.#options.noun}s a second: only some are shown; all count`,
        "dim",
      ),
    );
  }

  #describe({ record, outcome }: DeliveryReport): string {
    const order = record.isOwn
      ? `record ${record.sequence}`
      : `order ${record.sequence}  ${record.orderId.slice(0, 8)}`;
    switch (outcome.kind) {
      case "acknowledged": {
        const place = `${this.#options.topic}[${record.partition}] at offset ${outcome.offset}`;
        return `${styled("delivered", "green")}  ${order}  ${place}  ` +
          styled(`${(outcome.answeredAtMs - record.plannedAtMs).toFixed(1)} ms`, "dim");
      }
      default:
        return `${styled(outcome.kind, "red")}  ${order}  ${printable(outcome.reason)}`;
    }
  }

  /** Shows a window of five seconds, unless nothing happened in it. */
  showWindow({ seconds, acknowledged, latency_ms: latency }: LatencyWindow): void {
    const { noun, isProgressOnly } = this.#options;
    const lag = this.#describeLag();
    // Each delivery was shown.
    if (acknowledged <= SHOWN_A_SECOND_MAX && lag === "" && !isProgressOnly) return;
    const print = isProgressOnly ? printErrorLine : printLine;
    print(
      `${seconds.toFixed(0)} s: ${counted(acknowledged, noun)} acknowledged, ` +
        `${describeLatency(latency)}${lag}`,
    );
  }

  #showStatus(): void {
    const { accounts, noun, isProgressOnly } = this.#options;
    const { generated, acknowledged, notAcknowledged } = accounts;
    showStatus(
      `${counted(generated, noun)} generated, ${withThousands(acknowledged)} acknowledged` +
        (notAcknowledged > 0 ? `, ${withThousands(notAcknowledged)} not` : "") +
        this.#describeLag(),
      isProgressOnly ? Deno.stderr : Deno.stdout,
    );
  }

  /** Empty where the run keeps to its plan. */
  #describeLag(): string {
    const lag = describeBehind(this.#options.accounts, this.#options.noun);
    return lag === "" ? "" : styled(`; ${lag}`, "yellow");
  }
}

/** Says by how much a run is behind its plan; empty where it keeps to it. */
export function describeBehind(
  { planned, generated, behindMs }: Pick<Accounts, "planned" | "generated" | "behindMs">,
  noun: string,
): string {
  if (!Number.isFinite(planned) || planned <= generated || behindMs < BEHIND_MS_MIN) return "";
  return `BEHIND: ${withThousands(planned)} planned, ${withThousands(generated)} sent, ` +
    `behind by ${counted(planned - generated, noun)}, ${(behindMs / 1_000).toFixed(1)} s`;
}

function describeLatency(latency: LatencySummary | null): string {
  if (latency === null) return "no latency";
  const { p50, p99, max } = latency;
  return `latency p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, max ${max.toFixed(1)} ms`;
}

/** The summary as a few lines for a person. */
export function describeSummary(summary: ProducerSummary, noun = "order"): readonly string[] {
  return [
    describeAccounts(summary, noun),
    `${summary.seconds} s, ${withThousands(summary.rate)} ${noun}s/s, ` +
    `${summary.mb_per_second} MB/s${describeLatencies(summary, noun)}`,
    describeWarmup(summary, noun),
    describePlan(summary, noun),
    describeBuffer(summary, noun),
    describeThrottling(summary),
    describeLost(summary, noun),
    describeBad(summary),
    describeLookups(summary),
    `seed ${summary.seed}`,
  ].filter((line) => line !== "");
}

/** Returns the accounts as an equation. */
export function describeAccounts(
  { generated, acknowledged, failed, undelivered, unknown }: ProducerSummary,
  noun: string,
): string {
  return `${counted(generated, noun)} generated = ${withThousands(acknowledged)} acknowledged + ` +
    `${withThousands(failed)} failed + ${withThousands(undelivered)} undelivered + ` +
    `${withThousands(unknown)} unknown`;
}

function describeLatencies(
  { latency_ms: latency, latency_from_send_ms: fromSend, warmup }: ProducerSummary,
  noun: string,
): string {
  if (latency !== null && fromSend !== null) {
    return `; ${describeLatency(latency)} (from the send: p99 ${fromSend.p99.toFixed(1)} ms)`;
  }
  return (warmup?.acknowledged ?? 0) > 0
    ? "; no latency: the warm-up covered the whole run"
    : `; no latency: no ${noun} was acknowledged`;
}

function describeWarmup({ warmup }: ProducerSummary, noun: string): string {
  if (warmup === undefined) return "";
  return `warm-up: ${counted(warmup.acknowledged, noun)}, ${describeLatency(warmup.latency_ms)}`;
}

function describePlan(summary: ProducerSummary, noun: string): string {
  const { generated, planned, behind = 0, behind_ms_max: behindMsMax = 0 } = summary;
  if (planned === undefined || (behind === 0 && behindMsMax < BEHIND_MS_MIN)) return "";
  return `fell behind the plan: ${counted(planned, noun)} planned, ` +
    `${withThousands(generated)} sent, ${withThousands(behind)} left out; ` +
    `at most ${(behindMsMax / 1_000).toFixed(1)} s late`;
}

/** At `--rate max` this says who was the slower: the cluster, or the making of orders. */
function describeBuffer({ buffer_full_ms: fullMs }: ProducerSummary, noun: string): string {
  if (fullMs < BUFFER_FULL_MS_MIN) return "";
  return `the buffer was full for ${(fullMs / 1_000).toFixed(1)} s, and no ${noun} made meanwhile`;
}

function describeThrottling({ throttled_ms: throttledMs = 0 }: ProducerSummary): string {
  if (throttledMs === 0) return "";
  return `throttled by the brokers for ${(throttledMs / 1_000).toFixed(1)} s: a quota was used up`;
}

function describeLost({ lost_with_topic: lost = 0 }: ProducerSummary, noun: string): string {
  if (lost === 0) return "";
  return `${counted(lost, `acknowledged ${noun}`)} lost: the topic was deleted during the run`;
}

function describeBad({ bad, dead_letters_expected: expected = 0 }: ProducerSummary): string {
  if (bad === undefined) return "";
  const kinds = Object.entries(bad).map(([kind, count]) => `${withThousands(count)} ${kind}`);
  return `spoilt on purpose: ${kinds.join(", ") || "none"}; ` +
    `the tracker should dead-letter ${withThousands(expected)}`;
}

function describeLookups({ looked_up: lookedUp, unknown }: ProducerSummary): string {
  if (lookedUp === undefined) return "";
  return `looked up in the topic after an unclear answer: ${
    withThousands(lookedUp.found)
  } found, ` +
    `${withThousands(lookedUp.sent_again)} sent again, ${withThousands(unknown)} still unknown`;
}
