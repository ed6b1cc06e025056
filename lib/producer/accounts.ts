/**
 * The accounts of a run: every generated order ends in exactly one of four.
 *
 * @module
 */

import { LatencyRecorder, type LatencySummary } from "../latency.ts";
import type { DeliveryReport } from "./delivery.ts";

/** What `producer --json` prints. generated = acknowledged + failed + undelivered + unknown. */
export interface ProducerSummary {
  readonly generated: number;
  /** The broker said, for the order's partition, that it stored the record. */
  readonly acknowledged: number;
  /** The broker said that it did not. */
  readonly failed: number;
  /** Never sent. */
  readonly undelivered: number;
  /** Sent, and no answer came that can be trusted: it may be in the topic or not. */
  readonly unknown: number;
  readonly seconds: number;
  /** Acknowledged orders a second. */
  readonly rate: number;
  /** Megabytes (10^6 bytes) of acknowledged values a second. */
  readonly mb_per_second: number;
  /** From the planned time to the acknowledgement, in milliseconds. */
  readonly latency_ms: LatencySummary;
}

export class Accounts {
  readonly #latency = new LatencyRecorder();
  readonly #counts = { acknowledged: 0, failed: 0, undelivered: 0, unknown: 0 };
  #generated = 0;
  #acknowledgedBytes = 0;

  get generated(): number {
    return this.#generated;
  }

  get acknowledged(): number {
    return this.#counts.acknowledged;
  }

  /** Orders that did not arrive for certain. */
  get notAcknowledged(): number {
    const { failed, undelivered, unknown } = this.#counts;
    return failed + undelivered + unknown;
  }

  countGenerated(): void {
    this.#generated++;
  }

  settle({ parcel, outcome }: DeliveryReport): void {
    this.#counts[outcome.kind]++;
    if (outcome.kind !== "acknowledged") return;
    this.#acknowledgedBytes += parcel.value.byteLength;
    this.#latency.record(performance.now() - parcel.plannedAtMs);
  }

  /** @throws {Error} where an order is in no account, or in two: a fault of the program. */
  summary(elapsedMs: number): ProducerSummary {
    const { acknowledged } = this.#counts;
    const settled = acknowledged + this.notAcknowledged;
    if (settled !== this.#generated) {
      throw new Error(
        `the accounts do not add up: ${this.#generated} generated, ${settled} settled`,
      );
    }
    const seconds = Math.max(elapsedMs / 1_000, 0.001);
    return {
      generated: this.#generated,
      ...this.#counts,
      seconds: round(seconds),
      rate: round(acknowledged / seconds),
      mb_per_second: round(this.#acknowledgedBytes / 1e6 / seconds),
      latency_ms: this.#latency.summary(),
    };
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
