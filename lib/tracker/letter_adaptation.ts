/**
 * How a dead letter is changed, one step at a time, until the dead-letter topic accepts it. The value is given
 * up only where nothing less helps; the journal has it.
 *
 * @module
 */

import { isSizeReason } from "../kafka/error_classifier.ts";
import type { KafkaRecord } from "../record.ts";
import { type Adaptation, type DeadLetter, headersBytesMax, NO_TIMESTAMP } from "./letter.ts";

/** In the order in which they are tried where the broker does not say what it objects to. */
const ALL_STEPS = ["timestamp", "value", "headers", "key", "message"] as const;

/** The steps by which a letter can answer a refusal, those that are taken already included. */
function stepsAgainst(reason: string, record: KafkaRecord): readonly Adaptation[] {
  if (isSizeReason(reason)) return [...partsBySize(record), "message"];
  const steps = ALL_STEPS.filter((step) => isWorthwhile(step, record));
  switch (reason) {
    case "INVALID_TIMESTAMP":
      // Where even the time of sending is out of bounds, this machine's clock differs from the broker's.
      return ["timestamp", "no-timestamp"];
    case "INVALID_RECORD":
      // A compacted topic refuses a record without a key.
      return ["unique-key", ...steps];
    default:
      return steps;
  }
}

/** The largest first: to leave that one out may be enough, and the others are kept. */
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
 * Returns the adaptations with one more that may answer a refusal; undefined where none is left.
 *
 * @param reason Kafka's name for why the letter was refused with these adaptations.
 */
export function nextAdaptation(
  { record }: DeadLetter,
  adaptations: ReadonlySet<Adaptation>,
  reason: string,
): ReadonlySet<Adaptation> | undefined {
  const step = stepsAgainst(reason, record).find((step) => !adaptations.has(step));
  return step === undefined ? undefined : new Set([...adaptations, step]);
}

/** How long a refusal is taken to hold for other letters: settings of a topic can be changed. */
const REMEMBERED_MS = 10_000;

interface Refusal {
  readonly bound: number;
  readonly untilMs: number;
}

/**
 * Remembers for some seconds which sizes and timestamps were refused, so that a thousand letters of the same
 * kind cost one refusal, not a thousand.
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

  /** Notes that a letter was refused when it was alone in its batch. */
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

  /** Returns why a letter would be refused, by what is known; undefined where it has to be tried. */
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
