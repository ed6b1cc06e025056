import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { lz4Compress, snappyCompress } from "@platformatic/wasm-utils/bundled";
import { RandomRecords } from "../../../lib/producer/payload/random_records.ts";

function values(byteCount: number, seed: number, count = 200): Buffer[] {
  const records = new RandomRecords(byteCount, seed);
  return Array.from({ length: count }, () => Buffer.from(records.next().value ?? ""));
}

Deno.test("RandomRecords have the requested size, differ from one another, and repeat with their seed", () => {
  for (const size of [5, 7, 100, 1_001]) {
    const records = values(size, 3);
    assert.ok(records.every(({ length }) => length === size));
    assert.equal(new Set(records.map((record) => record.toString("hex"))).size, 200);
    assert.deepEqual(values(size, 3), records);
    assert.notDeepEqual(values(size, 4), records);
  }
});

Deno.test("RandomRecords are not compressible by any of Kafka's codecs", () => {
  const batch = Buffer.concat(values(1_000, 5));
  for (const compress of [gzipSync, zstdCompressSync, lz4Compress, snappyCompress]) {
    assert.ok(compress(batch).length >= batch.length, compress.name);
  }
});
