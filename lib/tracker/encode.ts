/**
 * Encodes the records of a batch as journal lines. The kernel validates and writes nearly all of them from their bytes;
 * those that it leaves alone are decoded, judged, and written here, one by one.
 *
 * @module
 */

import { Turns } from "../async.ts";
import { exactOf } from "../int64.ts";
import { type EventContext, eventLine, lineTexts } from "../journal/line.ts";
import { recordAt, type RecordSpan } from "../kafka/protocol/records.ts";
import { kernel, type WrittenLines } from "../kernel/kernel.ts";
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
  readonly lines: Uint8Array;
  /** Where each line ends, past its newline. */
  readonly lineEnds: Uint32Array;
  /** The timestamp of each line's record, in milliseconds since the epoch. */
  readonly timestampsMs: Float64Array;
  /** The records that failed. */
  readonly failures: readonly { readonly record: KafkaRecord; readonly failure: RecordFailure }[];
}

/** A line has the value twice, once escaped, which makes it longer by an eighth or so. */
const LINE_BYTES_A_VALUE_BYTE = 2.25;
const LINE_BYTES_BESIDE = 448;

/** Encodes records in order. A mark belongs to the first of them only. Other work has its turn meanwhile. */
export async function encodeRecords(
  fresh: FreshRecords,
  context: EncodeContext,
): Promise<EncodedRecords> {
  using turns = new Turns();
  const encoder = new Encoder(fresh, context, turns);
  if (fresh.spans === undefined) await encoder.addRecords(fresh.records);
  else for (const span of fresh.spans) await encoder.addSpan(span);
  return encoder.encoded;
}

class Encoder {
  readonly #fresh: FreshRecords;
  readonly #context: EncodeContext;
  #mark: string | undefined;
  readonly #turns: Turns;
  readonly #failures: EncodedRecords["failures"][number][] = [];
  #lines: Uint8Array;
  #length = 0;
  #lineEnds: Uint32Array;
  #timestampsMs: Float64Array;
  #count = 0;
  /** By leader epoch. */
  readonly #texts = new Map<number | undefined, readonly Uint8Array[]>();

  constructor(fresh: FreshRecords, { mark, ...context }: EncodeContext, turns: Turns) {
    this.#fresh = fresh;
    this.#context = context;
    this.#mark = mark;
    this.#turns = turns;
    const { recordCountMax, byteCount } = fresh.size;
    this.#lines = new Uint8Array(
      Math.ceil(byteCount * LINE_BYTES_A_VALUE_BYTE) + recordCountMax * LINE_BYTES_BESIDE,
    );
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
    for (const record of records) {
      this.#addRecord(record);
      await this.#turns.next();
    }
  }

  async addSpan(span: RecordSpan): Promise<void> {
    const { batch, bytes } = span;
    const source = {
      bytes,
      baseOffset: batch.baseOffset,
      timestamp: batch.appendTime === undefined
        ? batch.baseTimestamp
        : BigInt(exactOf(batch.appendTime)),
      isAppendTime: batch.appendTime !== undefined,
    };
    const options = {
      texts: this.#textsOf(batch.leaderEpoch),
      plan: this.#context.schema === "order" ? ORDER_PLAN : undefined,
      start: this.#fresh.start,
    };
    let place = { position: 0, recordsLeft: batch.recordCount };
    while (place.recordsLeft > 0) {
      let isStopped = this.#mark !== undefined;
      if (!isStopped) {
        const written = kernel().writeLines(source, place, options);
        this.#addLines(written);
        ({ isStopped } = written);
        place = written;
      }
      if (isStopped && place.recordsLeft > 0) {
        const { record, end } = recordAt(span, place.position, this.#fresh);
        if (record.offset >= this.#fresh.start) this.#addRecord(record);
        place = { position: end, recordsLeft: place.recordsLeft - 1 };
      }
      await this.#turns.next();
    }
  }

  #textsOf(leaderEpoch: number | undefined): readonly Uint8Array[] {
    const known = this.#texts.get(leaderEpoch);
    if (known !== undefined) return known;
    const { topic, partition } = this.#fresh;
    const hasOrders = this.#context.schema === "order";
    const texts = lineTexts({ topic, partition, leaderEpoch }, this.#context, { hasOrders });
    this.#texts.set(leaderEpoch, texts);
    return texts;
  }

  #addRecord(record: KafkaRecord): void {
    const { schema, ...context } = this.#context;
    const { verdict, failure } = (schema === "order" ? judgeRecord : takeAnyRecord)(record);
    const mark = this.#mark;
    this.#mark = undefined;
    const line = eventLine(record, verdict, mark === undefined ? context : { ...context, mark });
    this.#addBytes(ENCODER.encode(line));
    this.#lineEnds[this.#count] = this.#length;
    this.#timestampsMs[this.#count++] = record.timestampMs;
    if (failure !== undefined) this.#failures.push({ record, failure });
  }

  #addLines({ lines, lineEnds, timestamps, lineCount }: WrittenLines): void {
    const start = this.#length;
    this.#addBytes(lines);
    for (let index = 0; index < lineCount; index++) {
      this.#timestampsMs[this.#count] = timestamps[index * 2] ?? 0;
      this.#lineEnds[this.#count++] = start + (lineEnds[index * 4 + 2] ?? 0);
    }
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
