import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { lz4Compress, snappyCompress } from "@platformatic/wasm-utils/bundled";
import { committedRecords } from "../../../lib/kafka/protocol/committed_records.ts";
import { decodeLz4Block } from "../../../lib/kafka/protocol/block_codecs.ts";
import { CODEC_NAMES } from "../../../lib/kafka/protocol/batch_layout.ts";
import { decompressAtOnce, decompressInSteps } from "../../../lib/kafka/protocol/decompress.ts";
import type { KafkaRecord } from "../../../lib/record.ts";
import { VALUE_BYTES_MAX } from "../../../lib/limits.ts";
import { Random } from "../../../lib/shop/random.ts";
import { batchBytes, recordsBytes } from "../batch_bytes.ts";

const MEBIBYTE = 1024 * 1024;
const compressors: Readonly<Record<string, (data: Buffer) => Uint8Array>> = {
  none: (data) => data,
  gzip: (data) => gzipSync(data),
  snappy: (data) => snappyCompress(data),
  "snappy in Java's blocks": xerial,
  lz4: (data) => lz4Compress(data),
  "lz4 with blocks that refer to the previous one": linkedLz4,
  zstd: (data) => zstdCompressSync(data),
};

/** Compresses with Snappy as Java's producer does: blocks of 32 kB behind a header. */
function xerial(data: Buffer): Uint8Array {
  const parts = [Buffer.from("82534e41505059000000000100000001", "hex")];
  for (let at = 0; at < data.length; at += 32_768) {
    const block = Buffer.from(snappyCompress(data.subarray(at, at + 32_768)));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

/** Encodes an LZ4 frame of 64 kB blocks, in which each but the first begins with a match in the previous block. */
function linkedLz4(data: Buffer): Uint8Array {
  const parts = [Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0])];
  for (let at = 0; at < data.length; at += 65_536) {
    const block = data.subarray(at, at + 65_536);
    const before = data.subarray(Math.max(0, at - 65_535), at);
    const match = before.length > 8 && block.subarray(0, 8).equals(before.subarray(0, 8)) ? 8 : 0;
    const literals = block.subarray(match);
    const length = Buffer.alloc(4);
    const coded: Uint8Array[] = [];
    if (match > 0) {
      coded.push(Buffer.from([match - 4, before.length & 0xff, before.length >> 8]));
    }
    const extra: number[] = [];
    for (let rest = literals.length - 15; rest >= 0; rest -= 255) extra.push(Math.min(255, rest));
    if (literals.length >= 15 && extra.at(-1) === 255) extra.push(0);
    coded.push(Buffer.from([Math.min(15, literals.length) << 4, ...extra]), literals);
    const bytes = Buffer.concat(coded);
    length.writeUInt32LE(bytes.length);
    parts.push(length, bytes);
  }
  return Buffer.concat([...parts, Buffer.alloc(4)]);
}

const codecOf = (name: string) =>
  CODEC_NAMES.indexOf((name.split(" ")[0] ?? "") as typeof CODEC_NAMES[number]);

/** Returns bytes that compress by about half. */
function textLike(length: number): Buffer {
  const random = new Random(7);
  const data = Buffer.alloc(length);
  for (let at = 0; at < length; at += 4) {
    data.fill((random.uint32() & 15) + 97, at, Math.min(at + 4, length));
  }
  return data;
}

for (const [name, compress] of Object.entries(compressors)) {
  Deno.test(`${name}: data are restored, at once and in steps`, async () => {
    for (const length of [0, 1, 1_000, 70_000, 6 * MEBIBYTE]) {
      const data = textLike(length);
      const compressed = compress(data);
      if (length > 0 || name === "none") {
        const whole = decompressAtOnce(codecOf(name), compressed);
        if (length > 4 * MEBIBYTE) assert.equal(whole, undefined, "too large for one step");
        else assert.ok(whole === undefined || data.equals(whole), `${length} bytes at once`);
      }
      const steps: Uint8Array[] = [];
      for await (const step of decompressInSteps(codecOf(name), compressed)) {
        assert.ok(step.length <= MEBIBYTE, `a step of ${step.length} bytes`);
        steps.push(step.slice());
      }
      if (length > 0) assert.ok(data.equals(Buffer.concat(steps)), `${length} bytes in steps`);
    }
  });

  Deno.test(`${name}: damaged data cause a catchable error, and never a hang`, async () => {
    const data = textLike(6 * MEBIBYTE);
    const compressed = Buffer.from(compress(data));
    const random = new Random(11);
    for (let round = 0; round < 6; round++) {
      const damaged = Buffer.from(compressed);
      damaged.fill(random.uint32(), 20 + random.uint32() % 1_000, 1_100);
      try {
        const steps = await Array.fromAsync(
          decompressInSteps(codecOf(name), damaged),
          (it) => it.length,
        );
        assert.ok(steps.reduce((sum, length) => sum + length, 0) <= 8 * MEBIBYTE);
      } catch (error) {
        assert.ok(error instanceof Error);
      }
    }
  });
}

Deno.test("decodeLz4Block() refuses a match that starts before the data", () => {
  assert.throws(
    () => decodeLz4Block(Uint8Array.of(0x10, 65, 9, 0), new Uint8Array(100), 0),
    RangeError,
  );
});

Deno.test("decodeLz4Block() repeats overlapping matches of any offset and length", () => {
  const random = new Random(5);
  for (let round = 0; round < 300; round++) {
    const literals = Array.from(
      { length: 15 + random.uint32() % 100 },
      () => random.uint32() % 256,
    );
    const offset = 1 + random.uint32() % literals.length;
    const matchLength = 19 + random.uint32() % 254;
    const block = Uint8Array.of(
      ...[0xff, literals.length - 15, ...literals],
      ...[offset, 0, matchLength - 19, 0x00],
    );
    const expected = [...literals];
    for (let count = 0; count < matchLength; count++) expected.push(expected.at(-offset) ?? 0);
    const output = new Uint8Array(expected.length);
    assert.equal(decodeLz4Block(block, output, 0), expected.length);
    assert.deepEqual([...output], expected);
  }
});

/** Decodes all records of a batch built from these values. */
async function decode(
  values: Iterable<Uint8Array | null>,
  { compress, codec, count }: {
    compress: (data: Buffer) => Uint8Array;
    codec: number;
    count: number;
  },
): Promise<{ parts: number; records: KafkaRecord[]; longestMs: number; batchLength: number }> {
  const payload = compress(recordsBytes(values));
  const bytes = batchBytes({ payload, codec, recordCount: count });
  const fetched = { topic: "t", partition: 0, start: 0, bytes, abortedTransactions: [] };
  const records: KafkaRecord[] = [];
  let parts = 0;
  let last = performance.now();
  let longestMs = 0;
  const timer = setInterval(() => {
    longestMs = Math.max(longestMs, performance.now() - last);
    last = performance.now();
  }, 1);
  for await (const part of committedRecords(fetched)) {
    parts++;
    records.push(...part.records);
  }
  clearInterval(timer);
  return { parts, records, longestMs, batchLength: bytes.length };
}

const ZEROS = new Uint8Array(100 * MEBIBYTE);

for (const name of ["gzip", "zstd"] as const) {
  const compress = compressors[name] ?? ((data) => data);
  Deno.test(`${name}: a value of 100 MiB in a batch of kilobytes is hashed and omitted without blocking the event loop`, async () => {
    const values = [Buffer.from("before"), ZEROS, Buffer.from("after")];
    const { records, longestMs, batchLength } = await decode(values, {
      compress,
      codec: codecOf(name),
      count: 3,
    });
    assert.ok(batchLength < 200_000, `${batchLength} bytes`);
    assert.deepEqual(records.map(({ offset }) => offset), [0, 1, 2]);
    assert.equal(records[1]?.value, null);
    assert.deepEqual(records[1]?.omittedValue, {
      size: ZEROS.length,
      sha256: createHash("sha256").update(ZEROS).digest("hex"),
    });
    assert.equal(Buffer.from(records[2]?.value ?? []).toString(), "after");
    // 20 ms on an idle machine; in one step it takes seconds.
    assert.ok(longestMs < 500, `the event loop was blocked for ${longestMs} ms`);
  });
}

Deno.test("a value of exactly the limit is kept, compressed or not", async () => {
  for (const name of ["none", "zstd"]) {
    const compress = compressors[name] ?? ((data) => data);
    const value = ZEROS.subarray(0, VALUE_BYTES_MAX);
    const { records } = await decode([value], { compress, codec: codecOf(name), count: 1 });
    assert.equal(records[0]?.value?.length, VALUE_BYTES_MAX);
    const larger = ZEROS.subarray(0, VALUE_BYTES_MAX + 1);
    const left = await decode([larger], { compress, codec: codecOf(name), count: 1 });
    assert.equal(left.records[0]?.omittedValue?.size, VALUE_BYTES_MAX + 1);
  }
});

Deno.test("a batch of many small records has no limit, and is decoded in parts", async () => {
  const value = Buffer.alloc(200, "x");
  const count = 200_000;
  const { records, parts } = await decode(Array.from({ length: count }, () => value), {
    compress: (data) => zstdCompressSync(data),
    codec: codecOf("zstd"),
    count,
  });
  assert.ok(parts > 2, `${parts} parts`);
  assert.equal(records.length, count);
  assert.ok(
    records.every(({ offset, value: bytes }, index) => offset === index && bytes?.length === 200),
  );
});

Deno.test("a batch with fewer records than its header claims is refused, with any compression", async () => {
  for (const [name, compress] of Object.entries(compressors)) {
    for (const size of [10, 6 * MEBIBYTE]) {
      const values = [textLike(size), textLike(size)];
      await assert.rejects(
        decode(values, { compress, codec: codecOf(name), count: 3 }),
        { name: "CorruptBatchError" },
        `${name}, ${size} bytes`,
      );
    }
  }
});
