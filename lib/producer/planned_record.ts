/**
 * A record on its way to the topic, and how its way ended.
 */

import type { RecordHeader } from "../record.ts";
import type { BadKind } from "./bad_orders.ts";

/** A record to be delivered: an order of the shop, or a record of the user's own. */
export interface PlannedRecord {
  /** The order's id; for a record of the user's own, a name that is unique in the run. */
  readonly orderId: string;
  readonly sequence: number;
  readonly partition: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  /** Sent after those of {@link DeliveryOptions.headers}. */
  readonly headers?: readonly RecordHeader[];
  /** When the order was due, in milliseconds of `performance.now()`: what latency is counted from. */
  readonly plannedAtMs: number;
  /** The way in which it was corrupted on purpose. */
  readonly bad?: BadKind;
  /** Present on records that are not orders of the shop. */
  readonly isOwn?: true;
}

/** How an order's way ended. */
export type Outcome =
  /**
   * The record was stored at this offset of this topic. `sentAtMs` is when it was first sent, `answeredAtMs` when the
   * acknowledgement came, in milliseconds of `performance.now()`.
   */
  | {
    readonly kind: "acknowledged";
    readonly offset: number;
    readonly topicId: string;
    readonly sentAtMs: number;
    readonly answeredAtMs: number;
  }
  /** The broker said that it did not. */
  | { readonly kind: "failed"; readonly reason: string }
  /** It was never sent. */
  | { readonly kind: "undelivered"; readonly reason: string }
  /** It was sent, and no answer came that can be trusted. */
  | { readonly kind: "unknown"; readonly reason: string };

export interface DeliveryReport {
  readonly record: PlannedRecord;
  readonly outcome: Outcome;
}
