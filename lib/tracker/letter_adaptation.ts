/**
 * Adapts a dead letter one step at a time until the dead-letter topic accepts it. The value, which is in the journal,
 * is only dropped if nothing less helps.
 */

import { isSizeReason } from "../kafka/error_classifier.ts";
import { type KafkaRecord, NO_TIMESTAMP } from "../record.ts";
import { type Adaptation, type DeadLetter, headersBytesMax } from "./letter.ts";

/** Tried in this order if the broker does not say what it objects to. */
const ALL_STEPS = ["timestamp", "value", "headers", "key", "message"] as const;

/** Returns the steps that may help against a refusal, including those already taken. */
function stepsAgainst(reason: string, record: KafkaRecord): readonly Adaptation[] {
  if (isSizeReason(reason)) return [...partsBySize(record), "message"];
  const steps = ALL_STEPS.filter((step) => isWorthwhile(step, record));
  switch (reason) {
    case "INVALID_TIMESTAMP":
      // If even the current time is out of bounds, this machine's clock differs from the broker's.
      return ["timestamp", "no-timestamp"];
    case "INVALID_RECORD":
      // A compacted topic refuses a record without a key.
      return ["unique-key", ...steps];
    default:
      return steps;
  }
}

/** Returns the parts of a record, the largest first: dropping only that one may be enough. */
function partsBySize({ value, headers, key }: KafkaRecord): readonly Adaptation[] {
  const parts: readonly (readonly [Adaptation, number])[] = [
    ["value", value?.length ?? 0],
    ["headers", headersBytesMax(headers)],
    ["key", key?.length ?? 0],
  ];
  return parts.filter(([, bytes]) => bytes > 0).toSorted(([, a], [, b]) => b - a)
    .map(([part]) => part);
}

function isWorthwhile(
  step: typeof ALL_STEPS[number],
  { value, headers, key }: KafkaRecord,
): boolean {
  switch (step) {
    case "value":
      return value !== null;
    case "headers":
      return headers.length > 0;
    case "key":
      return key !== null;
    default:
      return true;
  }
}

/**
 * Returns the adaptations plus one more that may help; undefined if none is left.
 *
 * @param reason Kafka's name for the refusal of the letter with these adaptations.
 */
export function nextAdaptation(
  { record }: DeadLetter,
  adaptations: ReadonlySet<Adaptation>,
  reason: string,
): ReadonlySet<Adaptation> | undefined {
  const step = stepsAgainst(reason, record).find((step) => !adaptations.has(step));
  return step === undefined ? undefined : new Set([...adaptations, step]);
}

/** Time for which a refusal is assumed to apply to other letters: the topic's settings may change. */
const REMEMBERED_MS = 10_000;

interface Refusal {
  readonly bound: number;
  readonly untilMs: number;
}

/**
 * Remembers refused sizes and timestamps for a few seconds, so that a thousand similar letters cause one refusal
 * instead of a thousand.
 */
export class KnownRefusals {
  readonly #nowMs: () => number;
  #tooLarge: Refusal | undefined;
  /** Milliseconds from now. */
  #tooLate: Refusal | undefined;
  #tooEarly: Refusal | undefined;

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  note(reason: string, { bytes, timestampMs }: { bytes: number; timestampMs: number }): void {
    const nowMs = this.#nowMs();
    const refusal = (bound: number): Refusal => ({ bound, untilMs: nowMs + REMEMBERED_MS });
    if (isSizeReason(reason)) {
      this.#tooLarge = refusal(Math.min(bytes, this.#bytesMax ?? Infinity));
    } else if (reason === "INVALID_TIMESTAMP") {
      const fromNowMs = timestampMs - nowMs;
      if (fromNowMs > 0) this.#tooLate = refusal(fromNowMs);
      else this.#tooEarly = refusal(fromNowMs);
    }
  }

  /** Returns the reason for which a letter would be refused; undefined if it must be tried. */
  reasonAgainst(
    { bytes, timestampMs }: { bytes: number; timestampMs: number },
  ): string | undefined {
    if (bytes >= (this.#bytesMax ?? Infinity)) return "MESSAGE_TOO_LARGE";
    if (timestampMs === NO_TIMESTAMP) return undefined;
    const nowMs = this.#nowMs();
    const fromNowMs = timestampMs - nowMs;
    const isKnown = (refusal: Refusal | undefined): refusal is Refusal =>
      refusal !== undefined && nowMs < refusal.untilMs;
    const isTooLate = isKnown(this.#tooLate) && fromNowMs >= this.#tooLate.bound;
    const isTooEarly = isKnown(this.#tooEarly) && fromNowMs <= this.#tooEarly.bound;
    return isTooLate || isTooEarly ? "INVALID_TIMESTAMP" : undefined;
  }

  get #bytesMax(): number | undefined {
    const refusal = this.#tooLarge;
    return refusal !== undefined && this.#nowMs() < refusal.untilMs ? refusal.bound : undefined;
  }
}
