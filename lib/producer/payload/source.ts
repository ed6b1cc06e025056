/**
 * Where records come from that are not orders of the shop.
 */

import type { RecordHeader } from "../../record.ts";

/** A record before it has a partition. */
export interface OwnRecord {
  readonly key: Uint8Array | null;
  /** Null is a tombstone. */
  readonly value: Uint8Array | null;
  readonly headers?: readonly RecordHeader[];
}

export interface RecordRequest {
  /** Counts the records of the run, from 1. */
  readonly sequence: number;
  /** When the record is due, in milliseconds since the epoch, from `--start-time` on where that is given. */
  readonly timeMs: number;
}

export interface RecordSource {
  /** @throws {PayloadError} where there is no next record; the run ends then. */
  next(request: RecordRequest): OwnRecord;
}

/** Ends a run: the source has no next record. */
export class PayloadError extends Error {
  override readonly name = "PayloadError";
}
