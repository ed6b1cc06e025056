/**
 * Encodes the records of a batch as journal lines. The kernel validates and writes nearly all of them from their bytes;
 * those that it leaves alone are decoded, judged, and written here, one by one.
 */

import { Turns } from "../async.ts";
import { exactOf } from "../int64.ts";
import { type EventContext, eventLine, lineTexts } from "../journal/line.ts";
import { recordAt, type RecordSpan } from "../kafka/protocol/records.ts";
import { type LineWriter, ON_THIS_THREAD } from "../kernel/line_thread.ts";
import type { SpanLines, WrittenLines } from "../kernel/lines.ts";
import { ORDER_PLAN } from "../order/scan.ts";
import type { KafkaRecord } from "../record.ts";
import type { RecordFailure } from "./failures.ts";
import type { FreshRecords } from "./fresh_records.ts";
import { judgeRecord, takeAnyRecord } from "./judge.ts";

export interface EncodeContext extends EventContext {
  /** `order` validates values as orders; `none` accepts any. */
  readonly schema: "order" | "none";
}

export interface EncodedRecords {
  /** Whole lines, in the records' order. */
  readonly lines: Uint8Array<ArrayBuffer>;
  /** Where each line ends, past its newline. */
  readonly lineEnds: Uint32Array;
  /** The timestamp of each line's record, in milliseconds since the epoch. */
  readonly timestampsMs: Float64Array;
  /** The records that failed. */
  readonly failures: readonly { readonly record: KafkaRecord; readonly failure: RecordFailure }[];
}

/** Encodes records in order. A mark belongs to the first of them only. Other work has its turn meanwhile. */
export async function encodeRecords(
  fresh: FreshRecords,
  context: EncodeContext,
  writer: LineWriter = ON_THIS_THREAD,
): Promise<EncodedRecords> {
  const encoder = new Encoder(fresh, context);
  if (fresh.spans === undefined) await encoder.addRecords(fresh.records);
  else await encoder.addSpans(fresh.spans, writer);
  return encoder.encoded;
}

class Encoder {
  readonly #fresh: FreshRecords;
  readonly #context: EncodeContext;
  #mark: string | undefined;
  readonly #failures: EncodedRecords["failures"][number][] = [];
  #lines = new Uint8Array();
  #length = 0;
  #lineEnds: Uint32Array;
  #timestampsMs: Float64Array;
  #count = 0;

  constructor(fresh: FreshRecords, { mark, ...context }: EncodeContext) {
    this.#fresh = fresh;
    this.#context = context;
    this.#mark = mark;
    const { recordCountMax } = fresh.size;
    this.#lineEnds = new Uint32Array(recordCountMax);
    this.#timestampsMs = new Float64Array(recordCountMax);
  }

  get encoded(): EncodedRecords {
    return {
      lines: this.#lines.subarray(0, this.#length),
      lineEnds: this.#lineEnds.subarray(0, this.#count),
      timestampsMs: this.#timestampsMs.subarray(0, this.#count),
      failures: this.#failures,
    };
  }

  async addRecords(records: Iterable<KafkaRecord>): Promise<void> {
    using turns = new Turns();
    for (const record of records) {
      this.#addRecord(record);
      await turns.next();
    }
  }

  async addSpans(spans: readonly RecordSpan[], writer: LineWriter): Promise<void> {
    const { first, start } = this.#fresh;
    const written = await writer.write({
      spans: this.#spanLines(spans),
      plan: this.#context.schema === "order" ? ORDER_PLAN : undefined,
      start,
    });
    if (this.#mark === undefined && written.gaps.length === 0) return this.#adopt(written);
    this.#lines = new Uint8Array(written.bytes.length);
    using turns = new Turns();
    let line = 0;
    if (this.#mark !== undefined && first !== undefined && written.gaps[0]?.lineCount !== 0) {
      this.#addRecord(first);
      line = 1;
    }
    for (const { span, position, lineCount } of written.gaps) {
      this.#addLines(written, { from: line, to: lineCount });
      line = lineCount;
      const gap = spans[span];
      if (gap !== undefined) this.#addRecord(recordAt(gap, position, this.#fresh));
      await turns.next();
    }
    this.#addLines(written, { from: line, to: written.lineCount });
  }

  #spanLines(spans: readonly RecordSpan[]): readonly SpanLines[] {
    const textsByEpoch = new Map<number | undefined, readonly Uint8Array[]>();
    return spans.map(({ batch, bytes }) => {
      const { recordCount, baseOffset, leaderEpoch, appendTime, baseTimestamp } = batch;
      const texts = textsByEpoch.get(leaderEpoch) ?? this.#textsOf(leaderEpoch);
      textsByEpoch.set(leaderEpoch, texts);
      return {
        ...{ bytes, recordCount, baseOffset, texts },
        timestamp: appendTime === undefined ? baseTimestamp : BigInt(exactOf(appendTime)),
        isAppendTime: appendTime !== undefined,
      };
    });
  }

  #textsOf(leaderEpoch: number | undefined): readonly Uint8Array[] {
    const { topic, partition } = this.#fresh;
    const hasOrders = this.#context.schema === "order";
    return lineTexts({ topic, partition, leaderEpoch }, this.#context, { hasOrders });
  }

  #adopt({ bytes, byteCount, lineEnds, timestampsMs, lineCount }: WrittenLines): void {
    this.#lines = bytes;
    this.#length = byteCount;
    this.#lineEnds = lineEnds;
    this.#timestampsMs = timestampsMs;
    this.#count = lineCount;
  }

  #addRecord(record: KafkaRecord): void {
    const { schema, ...context } = this.#context;
    const { verdict, failure } = (schema === "order" ? judgeRecord : takeAnyRecord)(record);
    const mark = this.#mark;
    this.#mark = undefined;
    const line = eventLine(record, verdict, mark === undefined ? context : { ...context, mark });
    this.#addBytes(ENCODER.encode(line));
    this.#addEnd(this.#length, record.timestampMs);
    if (failure !== undefined) this.#failures.push({ record, failure });
  }

  #addLines(
    { bytes, lineEnds, timestampsMs }: WrittenLines,
    { from, to }: { readonly from: number; readonly to: number },
  ): void {
    const endOf = (line: number) => line === 0 ? 0 : lineEnds[line - 1] ?? 0;
    const shift = this.#length - endOf(from);
    this.#addBytes(bytes.subarray(endOf(from), endOf(to)));
    for (let line = from; line < to; line++) {
      this.#addEnd(endOf(line + 1) + shift, timestampsMs[line] ?? 0);
    }
  }

  #addEnd(lineEnd: number, timestampMs: number): void {
    this.#lineEnds[this.#count] = lineEnd;
    this.#timestampsMs[this.#count++] = timestampMs;
  }

  #addBytes(bytes: Uint8Array): void {
    const end = this.#length + bytes.length;
    if (end > this.#lines.length) {
      const larger = new Uint8Array(Math.max(end, this.#lines.length * 2));
      larger.set(this.#lines.subarray(0, this.#length));
      this.#lines = larger;
    }
    this.#lines.set(bytes, this.#length);
    this.#length = end;
  }
}

const ENCODER = new TextEncoder();
