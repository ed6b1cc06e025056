/**
 * The records of a batch, decoded: the readable reference beside the kernel, which reads them by the same rules. As in
 * Kafka's own consumer, a record must be as long as it says, and a batch must have as many as it says.
 */

import { kernel } from "../../kernel/kernel.ts";
import { DETAILS_BYTES_MAX, VALUE_BYTES_MAX } from "../../limits.ts";
import { timestampOf } from "../../int64.ts";
import type { KafkaRecord, OmittedBytes, RecordHeader } from "../../record.ts";
import { CorruptBatchError, Cursor } from "./cursor.ts";
import { CODEC_NAMES } from "./batch_layout.ts";
import { decompressAtOnce, decompressInSteps } from "./decompress.ts";
import type { RecordBatch } from "./record_batch.ts";
import { SteppedBytes } from "./stepped_bytes.ts";

/** Records of a batch, decompressed and found to be whole. */
export interface RecordSpan {
  readonly batch: RecordBatch;
  readonly bytes: Uint8Array;
}

/** Reports whether a control batch aborts its transaction. */
export function isAbortMarker(batch: RecordBatch): boolean {
  const cursor = new Cursor(batch.payload);
  const record = decodeRecord(cursor, { batch, topic: "", partition: 0 });
  // The key is two numbers of 16 bits: a version and the marker's type.
  return record.key !== null && record.key.length >= 4 &&
    new DataView(record.key.buffer, record.key.byteOffset).getInt16(2) === 0;
}

/**
 * The records of a batch, a part at a time; nearly always in one. Each part is to be gone through once, before the next
 * is asked for; the records' bytes are views. What exceeds the limits of `limits.ts` is left out and described.
 *
 * @throws {CorruptBatchError} where the records are not what was stored; {Error} where they cannot be decompressed.
 */
export async function* decodeRecords(
  batch: RecordBatch,
  { topic, partition }: { readonly topic: string; readonly partition: number },
): AsyncGenerator<Iterable<KafkaRecord>, void, void> {
  const { codec, payload } = batch;
  const place = { batch, topic, partition };
  try {
    const whole = wholePayload(batch);
    if (whole === undefined) yield* recordsInSteps(decompressInSteps(codec, payload), place);
    else yield recordsIn(new Cursor(whole), place);
  } catch (cause) {
    throw unreadable(batch, cause);
  }
}

/**
 * Returns the records of a batch as bytes; undefined where they are too many to be decompressed at once.
 *
 * @throws {CorruptBatchError} where the records are not what was stored; {Error} where they cannot be decompressed.
 */
export function spanOf(batch: RecordBatch): RecordSpan | undefined {
  try {
    const bytes = wholePayload(batch);
    if (bytes === undefined || bytes.length > kernel().inputBytesMax) return undefined;
    if (!kernel().areRecords(bytes, batch.recordCount)) {
      throw new CorruptBatchError(`the batch at offset ${batch.baseOffset} has broken records`);
    }
    return { batch, bytes };
  } catch (cause) {
    throw unreadable(batch, cause);
  }
}

/** Decodes the records of spans one by one, from an offset on. */
export function* recordsInSpans(
  spans: readonly RecordSpan[],
  { topic, partition, start }: {
    readonly topic: string;
    readonly partition: number;
    readonly start: number;
  },
): Generator<KafkaRecord> {
  for (const { batch, bytes } of spans) {
    for (const record of recordsIn(new Cursor(bytes), { batch, topic, partition })) {
      if (record.offset >= start) yield record;
    }
  }
}

/** Decodes the record at a position of a span's bytes. */
export function recordAt(
  { batch, bytes }: RecordSpan,
  position: number,
  { topic, partition }: { readonly topic: string; readonly partition: number },
): KafkaRecord {
  return decodeRecord(new Cursor(bytes.subarray(position)), { batch, topic, partition });
}

/** Compaction may leave a batch without records. */
function wholePayload({ codec, payload }: RecordBatch): Uint8Array | undefined {
  return payload.length === 0 ? payload : decompressAtOnce(codec, payload);
}

function unreadable({ codec, baseOffset }: RecordBatch, cause: unknown): unknown {
  if (cause instanceof CorruptBatchError) return cause;
  const name = CODEC_NAMES[codec] ?? `codec ${codec}`;
  return new Error(`the batch at offset ${baseOffset}, compressed with ${name}, cannot be read`, {
    cause,
  });
}

function* recordsIn(cursor: Cursor, place: RecordPlace): Generator<KafkaRecord> {
  const { recordCount } = place.batch;
  if (recordCount < 0) throw new CorruptBatchError(`a batch of ${recordCount} records`);
  for (let index = 0; index < recordCount; index++) yield decodeRecord(cursor, place);
  if (cursor.rest.length > 0) throw new CorruptBatchError("a batch has more records than it says");
}

/** Holds one step and the record that goes on beyond it, whatever the batch's size. */
async function* recordsInSteps(
  steps: AsyncIterator<Uint8Array>,
  place: RecordPlace,
): AsyncGenerator<Iterable<KafkaRecord>> {
  const source = new SteppedBytes(steps);
  let left = place.batch.recordCount;
  while (left > 0) {
    const records: KafkaRecord[] = [];
    if (!source.hasRecord()) {
      const isSmall = await source.fillSmallRecord();
      const record = isSmall
        ? decodeRecord(source.cursor, place)
        : await decodeLargeRecord(source, place);
      records.push(record);
      left--;
    }
    for (; left > 0 && source.hasRecord(); left--) records.push(decodeRecord(source.cursor, place));
    yield records;
  }
}

interface RecordPlace {
  readonly batch: RecordBatch;
  readonly topic: string;
  readonly partition: number;
}

function decodeRecord(cursor: Cursor, place: RecordPlace): KafkaRecord {
  const length = cursor.varint();
  const end = cursor.position + length;
  cursor.skipByte(); // attributes
  const timestampDelta = cursor.varlong();
  const offsetDelta = cursor.varint();
  const key = cursor.bytes();
  const value = cursor.bytes();
  const headers = decodeHeaders(cursor);
  if (cursor.position !== end) throw new CorruptBatchError(`a record has length ${length}`);
  return recordOf({ timestampDelta, offsetDelta, key, value, headers }, place);
}

/** A record that is larger than the limits may be: what is beyond them is hashed as it comes, and not kept. */
async function decodeLargeRecord(source: SteppedBytes, place: RecordPlace): Promise<KafkaRecord> {
  await source.fill(RECORD_HEAD_BYTES_MAX);
  const head = source.cursor;
  head.varint(); // length
  head.skipByte(); // attributes
  const timestampDelta = head.varlong();
  const offsetDelta = head.varint();
  let room = DETAILS_BYTES_MAX;
  const detail = async () => {
    const field = await source.bytes(room);
    if (field instanceof Uint8Array) room -= field.length;
    return field;
  };
  const key = await detail();
  const value = await source.bytes(VALUE_BYTES_MAX);
  const headers: RecordHeader[] = [];
  for (let left = await source.varint(); left > 0; left--) {
    const name = await detail();
    const headerValue = await detail();
    headers.push({
      key: TEXT_DECODER.decode(name instanceof Uint8Array ? name : new Uint8Array()),
      // A header whose name is too large counts as omitted as a whole.
      ...keptOrOmitted(name instanceof Uint8Array ? headerValue : name),
    });
  }
  const { value: keptValue, omitted } = keptOrOmitted(value);
  const { value: keptKey, omitted: omittedKey } = keptOrOmitted(key);
  return {
    ...recordOf({ timestampDelta, offsetDelta, key: keptKey, value: keptValue, headers }, place),
    ...(omitted !== undefined && { omittedValue: omitted }),
    ...(omittedKey !== undefined && { omittedKey }),
  };
}

function keptOrOmitted(
  field: Uint8Array | OmittedBytes | null,
): { readonly value: Uint8Array | null; readonly omitted?: OmittedBytes } {
  return field === null || field instanceof Uint8Array
    ? { value: field }
    : { value: null, omitted: field };
}

function recordOf(
  { timestampDelta, offsetDelta, key, value, headers }: {
    readonly timestampDelta: number | bigint;
    readonly offsetDelta: number;
    readonly key: Uint8Array | null;
    readonly value: Uint8Array | null;
    readonly headers: readonly RecordHeader[];
  },
  { batch, topic, partition }: RecordPlace,
): KafkaRecord {
  let timestampMs = typeof timestampDelta === "number"
    ? batch.baseTimestampMs + timestampDelta
    : NaN;
  let exactTimestampMs: bigint | undefined;
  if (batch.appendTime !== undefined) {
    ({ timestampMs, exactTimestampMs } = batch.appendTime);
  } else if (!Number.isSafeInteger(timestampMs)) {
    const exact = timestampOf(batch.baseTimestamp + BigInt(timestampDelta));
    ({ timestampMs, exactTimestampMs } = exact);
  }
  return {
    topic,
    partition,
    offset: batch.baseOffset + offsetDelta,
    timestampMs,
    exactTimestampMs,
    key,
    value,
    headers,
    leaderEpoch: batch.leaderEpoch,
  };
}

/** Length, attributes, and the two differences, as varints. */
const RECORD_HEAD_BYTES_MAX = 5 + 1 + 10 + 5;
const NO_HEADERS: readonly RecordHeader[] = [];
const TEXT_DECODER = new TextDecoder("utf-8", { ignoreBOM: true });

function decodeHeaders(cursor: Cursor): readonly RecordHeader[] {
  const count = cursor.varint();
  if (count === 0) return NO_HEADERS;
  if (count < 0) throw new CorruptBatchError(`a record has ${count} headers`);
  const headers: RecordHeader[] = [];
  for (let index = 0; index < count; index++) {
    const key = cursor.bytes();
    if (key === null) throw new CorruptBatchError("a header has no key");
    headers.push({ key: TEXT_DECODER.decode(key), value: cursor.bytes() });
  }
  return headers;
}
