/**
 * Goal: the kernel agrees with the readable implementation (decoder, validator, line writer) on anything that a
 * broker sends.
 * Method: batches with all kinds of records are changed at random and processed both ways.
 * Invariants: both produce the same lines byte for byte, and the same line ends, timestamps, and failures; or both
 * refuse the batch.
 */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { eventLine } from "../../lib/journal/line.ts";
import {
  ATTRIBUTES_AT,
  BASE_TIMESTAMP_AT,
  CRC_AT,
  HEADER_BYTES,
  RECORD_COUNT_AT,
} from "../../lib/kafka/protocol/batch_layout.ts";
import { crc32c } from "../../lib/kafka/protocol/crc32c.ts";
import { CorruptBatchError } from "../../lib/kafka/protocol/cursor.ts";
import { decodeBatches } from "../../lib/kafka/protocol/record_batch.ts";
import { decodeRecords } from "../../lib/kafka/protocol/records.ts";
import type { KafkaRecord } from "../../lib/record.ts";
import { Random } from "../../lib/shop/random.ts";
import { createShop } from "../../lib/shop/shop.ts";
import { type EncodeContext, encodeRecords } from "../../lib/tracker/encode.ts";
import { judgeRecord, takeAnyRecord } from "../../lib/tracker/judge.ts";
import { encodeBatch, type RecordSpec } from "../kafka/scripted/record_batches.ts";
import { freshBatch } from "./fresh_batch.ts";

const ROUNDS = Deno.env.get("ORDERFLOW_FAULTS") === "long" ? 1_000_000 : 4_000;
const SEED = Number(Deno.env.get("ORDERFLOW_SEED") ?? Math.floor(Math.random() * 2 ** 32));
const random = new Random(SEED);
const shop = createShop({ seed: 5, countries: ["FR", "DE", "GB", "US", "SE"] });
const below = (bound: number) => random.uint32() % bound;
const PIECES = ['"', "\\", "{", "}", "[", "]", ",", ":", " ", "\n", "\r", "\t", "0", "1", ".", "-"];
PIECES.push("e", "\\u00e9", "\\ud800", "\\uD83D\\uDE00", "\\x", "é", "😀", "\0", "\x1f", "null");
PIECES.push("true", "9007199254740993", "1e3", "1e999", "\ufeff", '"status":"pending",', "a@b");
const BYTES = [0x00, 0x01, 0x02, 0x7f, 0x80, 0x81, 0xc0, 0xe0, 0xed, 0xf4, 0xff];

function pick<Item>(items: readonly Item[]): Item {
  const item = items[below(items.length)];
  assert.ok(item !== undefined);
  return item;
}

/** Returns an order as JSON, sometimes with a piece inserted, removed, or replaced. */
function orderText(): string {
  const order = shop.nextOrder(Date.UTC(2026, 10, 25));
  const text = JSON.stringify(order, null, below(8) === 0 ? 1 : 0);
  if (below(2) === 0) return text;
  const at = below(text.length);
  return text.slice(0, at) + (below(3) === 0 ? "" : pick(PIECES)) +
    text.slice(at + below(3));
}

function anyText(): string {
  return Array.from({ length: below(60) }, () => below(4) === 0 ? pick(PIECES) : "abc").join("");
}

function anyBytes(): Uint8Array {
  return Uint8Array.from({ length: below(50) }, () => below(3) === 0 ? pick(BYTES) : below(256));
}

function anyField(): string | Uint8Array | null {
  const field: () => string | Uint8Array | null = pick([anyText, anyText, anyBytes, () => null]);
  return field();
}

function anyRecord(): RecordSpec {
  const isOdd = below(6) === 0;
  return {
    value: isOdd ? anyField() : orderText(),
    key: isOdd ? anyField() : "customer-1",
    ...(below(5) === 0 && {
      headers: Array.from({ length: below(4) }, () => [anyText(), anyField()] as const),
    }),
    timestampMs: 1_756_684_800_000 + below(1_000_000) - 500_000,
  };
}

function anyBatch(): Uint8Array {
  return encodeBatch(Array.from({ length: 1 + below(4) }, anyRecord), {
    baseOffset: below(5) === 0 ? 2 ** 40 : below(1_000),
    leaderEpoch: below(4) - 1,
    ...(below(4) === 0 && { appendTimeMs: 1_756_684_800_000 }),
  });
}

/** Changes bytes anywhere in the records, or the record count, and usually corrects the checksum. */
function change(batch: Uint8Array): Uint8Array {
  let changed = Buffer.from(batch);
  const records = HEADER_BYTES;
  if (below(100) === 0) changed = changed.subarray(0, records);
  for (let left = changed.length === records ? 0 : below(4); left > 0; left--) {
    const at = records + below(changed.length - records);
    // Lengths and counts are at the start of each record.
    const early = records + below(Math.min(12, changed.length - records));
    const [where, byte] = [pick([at, early]), pick([pick(BYTES), below(256)])];
    pick([
      () => changed.writeUInt8(byte, where),
      () => changed.writeUInt8((changed[where] ?? 0) ^ 1 << below(8), where),
      () => changed = Buffer.concat([changed.subarray(0, where), changed.subarray(where + 1)]),
      () =>
        changed = Buffer.concat([
          changed.subarray(0, where),
          Buffer.from([byte]),
          changed.subarray(where),
        ]),
      () => changed.writeInt32BE(pick([-1, 0, 1, 2, 1_000_000]), RECORD_COUNT_AT),
      () => changed.writeBigInt64BE(pick([2n ** 62n, -(2n ** 63n), 2n ** 53n]), BASE_TIMESTAMP_AT),
    ])();
  }
  changed.writeInt32BE(changed.length - 12, 8);
  if (below(50) > 0) changed.writeUInt32BE(crc32c(changed.subarray(ATTRIBUTES_AT)), CRC_AT);
  return changed;
}

/** The result that goes to the journal and to the dead letters. */
interface Outcome {
  readonly lines: string;
  readonly lineEnds: readonly number[];
  readonly timestampsMs: readonly number[];
  readonly failures: readonly unknown[];
}

/** Decodes, validates, and writes the records without the kernel. */
async function expected(
  bytes: Uint8Array,
  start: number,
  context: EncodeContext,
): Promise<Outcome> {
  const { schema, mark, ...plain } = context;
  const lineEnds: number[] = [];
  const timestampsMs: number[] = [];
  const failures: unknown[] = [];
  let lines = "";
  let byteCount = 0;
  for (const record of await decoded(bytes)) {
    if (record.offset < start) continue;
    const { verdict, failure } = (schema === "order" ? judgeRecord : takeAnyRecord)(record);
    const isMarked = mark !== undefined && lineEnds.length === 0;
    const line = eventLine(record, verdict, isMarked ? { ...plain, mark } : plain);
    lines += line;
    byteCount += Buffer.byteLength(line);
    lineEnds.push(byteCount);
    timestampsMs.push(record.timestampMs);
    if (failure !== undefined) failures.push({ record, failure });
  }
  return { lines, lineEnds, timestampsMs, failures };
}

async function decoded(bytes: Uint8Array): Promise<readonly KafkaRecord[]> {
  const records: KafkaRecord[] = [];
  for (const batch of decodeBatches(bytes)) {
    const parts = decodeRecords(batch, { topic: "orders", partition: 0 });
    for await (const part of parts) records.push(...part);
  }
  return records;
}

async function byKernel(
  bytes: Uint8Array,
  start: number,
  context: EncodeContext,
): Promise<Outcome> {
  const encoded = await encodeRecords(freshBatch(bytes, start), context);
  return {
    lines: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(encoded.lines),
    lineEnds: [...encoded.lineEnds],
    timestampsMs: [...encoded.timestampsMs],
    failures: encoded.failures,
  };
}

async function unlessCorrupt(outcome: Promise<Outcome>): Promise<Outcome | "corrupt"> {
  try {
    return await outcome;
  } catch (error) {
    if (error instanceof CorruptBatchError) return "corrupt";
    throw error;
  }
}

Deno.test(`the kernel and the readable implementation agree on ${ROUNDS} changed batches`, async () => {
  const counts = { corrupt: 0, lines: 0, failures: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = below(4) === 0 ? anyBatch() : change(anyBatch());
    const start = below(5) === 0 ? 2 ** 40 + below(3) : 0;
    const context: EncodeContext = {
      receivedAt: new Date(0),
      ...(below(2) === 0 && { topicId: "ab" }),
      ...(below(10) === 0 && { mark: "the group was reset" }),
      schema: below(3) === 0 ? "none" : "order",
    };
    const wanted = await unlessCorrupt(expected(bytes, start, context));
    const got = await unlessCorrupt(byKernel(bytes, start, context));
    assert.deepEqual(got, wanted, `ORDERFLOW_SEED=${SEED}, round ${round}`);
    if (wanted === "corrupt") {
      counts.corrupt++;
    } else {
      counts.lines += wanted.lineEnds.length;
      counts.failures += wanted.failures.length;
    }
  }
  // The comparison proves nothing if all batches are refused, or all records fail.
  assert.ok(counts.corrupt > ROUNDS / 10, JSON.stringify(counts));
  assert.ok(counts.lines - counts.failures > ROUNDS / 2, JSON.stringify(counts));
  assert.ok(counts.failures > ROUNDS / 10, JSON.stringify(counts));
});
