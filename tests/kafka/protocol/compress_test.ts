import assert from "node:assert/strict";
import { CODEC_NAMES } from "../../../lib/kafka/protocol/batch_layout.ts";
import { compress } from "../../../lib/kafka/protocol/compress.ts";
import { decompressAtOnce } from "../../../lib/kafka/protocol/decompress.ts";
import { Random } from "../../../lib/shop/random.ts";

function data(size: number, kind: "random" | "text"): Uint8Array {
  const random = new Random(size);
  return Uint8Array.from(
    { length: size },
    (_, index) =>
      kind === "random" ? random.uint32() & 0xff : "compress me ".charCodeAt(index % 12),
  );
}

for (const [code, name] of CODEC_NAMES.entries()) {
  if (name === "none") continue;
  Deno.test(`compress() with ${name} is reversed by decompressAtOnce(), and adds at most 1 % and 64 bytes`, async () => {
    for (const size of [1, 2, 100, 32_768, 32_769, 300_000]) {
      for (const kind of ["random", "text"] as const) {
        const plain = data(size, kind);
        const compressed = await compress(code, plain);
        assert.ok(compressed.length <= plain.length * 1.01 + 64, `${size} ${kind}`);
        assert.deepEqual(new Uint8Array(decompressAtOnce(code, compressed) ?? []), plain);
      }
    }
  });
}

Deno.test("compress() uses independent LZ4 blocks and snappy-java's framing, as the Java client requires", async () => {
  const lz4 = await compress(CODEC_NAMES.indexOf("lz4"), data(100_000, "text"));
  assert.deepEqual([...lz4.slice(0, 4)], [0x04, 0x22, 0x4d, 0x18]);
  assert.equal((lz4[4] ?? 0) & 0xe0, 0x60, "version 1, independent blocks");
  const snappy = await compress(CODEC_NAMES.indexOf("snappy"), data(100_000, "text"));
  assert.deepEqual([...snappy.slice(0, 8)], [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
});
