/**
 * From records to journal lines: each value is judged, and written as a line.
 *
 * @module
 */

import type { KafkaRecord } from "../record.ts";
import { type EventContext, EventWriter } from "../journal/line.ts";
import { takeAnyRecord, verdictOf } from "./judge.ts";
import type { RecordFailure } from "./failures.ts";

export interface EncodeContext extends EventContext {
  /** Whether values are judged as orders, or taken as they are. */
  readonly schema: "order" | "none";
}

export interface EncodedRecords {
  /** Whole lines, in the records' order. */
  readonly lines: Uint8Array;
  /** Where each line ends, past its newline. */
  readonly lineEnds: Uint32Array<ArrayBuffer>;
  /** The records that failed, by their place in the list. */
  readonly failures: readonly { readonly index: number; readonly failure: RecordFailure }[];
}

/** Room for a line: the value stands in it twice, once escaped (at most six-fold, which is rare). */
const LINE_BYTES_A_VALUE_BYTE = 2.25;
const LINE_BYTES_BESIDE = 640;

/** How many bytes the lines of the records will take, at a good guess. */
export function roomFor(records: readonly KafkaRecord[]): number {
  const valueBytes = records.reduce((sum, { value }) => sum + (value?.byteLength ?? 0), 0);
  return Math.ceil(valueBytes * LINE_BYTES_A_VALUE_BYTE) + records.length * LINE_BYTES_BESIDE;
}

/**
 * Costs about 10 us an order of 1.3 kB. A mark belongs to the first record only.
 *
 * @param room bytes to write the lines to; where they are too few, others are taken.
 */
export function encodeRecords(
  records: readonly KafkaRecord[],
  { mark, schema, ...context }: EncodeContext,
  room: Uint8Array = new Uint8Array(roomFor(records)),
): EncodedRecords {
  const writer = new EventWriter(room);
  const judge = schema === "order" ? verdictOf : takeAnyRecord;
  const lineEnds = new Uint32Array(records.length);
  const failures: { index: number; failure: RecordFailure }[] = [];
  records.forEach((record, index) => {
    const { verdict, failure } = judge(record);
    writer.write(
      record,
      verdict,
      index === 0 && mark !== undefined ? { ...context, mark } : context,
    );
    lineEnds[index] = writer.length;
    if (failure !== undefined) failures.push({ index, failure });
  });
  return { lines: writer.lines, lineEnds, failures };
}
