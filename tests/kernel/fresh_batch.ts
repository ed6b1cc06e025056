/**
 * Decodes record batches into the form that the tracker passes to the kernel.
 */

import { decodeBatches } from "../../lib/kafka/protocol/record_batch.ts";
import { spanOf } from "../../lib/kafka/protocol/records.ts";
import { type FreshRecords, freshSpans } from "../../lib/tracker/fresh_records.ts";

const PLACE = { topic: "orders", partition: 0 } as const;

export function freshBatch(bytes: Uint8Array, start = 0): FreshRecords {
  const spans = [...decodeBatches(bytes)].map((batch) => {
    const span = spanOf(batch);
    if (span === undefined) throw new Error("the batch is too large for the kernel");
    return span;
  });
  return freshSpans({ ...PLACE, start }, spans);
}
