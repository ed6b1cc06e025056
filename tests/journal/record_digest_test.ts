import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { RecordDigest } from "../../lib/journal/record_digest.ts";
const bytesOf = (text: string) => new TextEncoder().encode(text);

function hexOf(add: (digest: RecordDigest) => void): string {
  const digest = new RecordDigest();
  add(digest);
  return digest.take();
}

Deno.test("RecordDigest is the SHA-256 of offset, length, and value, of any size", () => {
  for (const size of [0, 1, 100, 16_359, 16_360, 16_368, 16_369, 16_384, 16_385, 100_000]) {
    const value = new Uint8Array(size).fill(7);
    const expected = createHash("sha256");
    for (const offset of [41, 42]) {
      const head = new DataView(new ArrayBuffer(16));
      head.setFloat64(0, offset);
      head.setFloat64(8, size);
      expected.update(new Uint8Array(head.buffer)).update(value);
    }
    assert.equal(
      hexOf((digest) => {
        digest.addValue(41, value);
        digest.addValue(42, value);
      }),
      expected.digest("hex"),
      `${size} bytes`,
    );
  }
});

Deno.test("RecordDigest differs for similar but different records", () => {
  const details = { timestampMs: 1, key: null, headers: [] };
  const header = (key: string, value: string | null) => ({ key, value: value && bytesOf(value) });
  const digests = [
    hexOf((digest) => digest.addValue(1, null)),
    hexOf((digest) => digest.addValue(1, new Uint8Array())),
    hexOf((digest) => digest.addValue(2, new Uint8Array())),
    hexOf((digest) => {
      digest.addValue(1, bytesOf("ab"));
      digest.addValue(2, bytesOf("c"));
    }),
    hexOf((digest) => {
      digest.addValue(1, bytesOf("a"));
      digest.addValue(2, bytesOf("bc"));
    }),
    hexOf((digest) => digest.addDetails(1, details)),
    hexOf((digest) => digest.addDetails(1, { ...details, key: new Uint8Array() })),
    ...[
      [header("a", "bc")],
      [header("ab", "c")],
      [header("a", null)],
      [header("a", "")],
      [header("a", "1"), header("a", "2")],
      [header("a", "2"), header("a", "1")],
    ].map((headers) =>
      hexOf((digest) =>
        digest.addDetails(1, {
          ...details,
          headers: headers as { key: string; value: Uint8Array | null }[],
        })
      )
    ),
  ];
  assert.equal(new Set(digests).size, digests.length);
});

Deno.test("RecordDigest depends on the order of headers", () => {
  const a = { key: "a", value: bytesOf("1") };
  const b = { key: "b", value: bytesOf("2") };
  const [first, second] = [[a, b], [b, a]].map((headers) =>
    hexOf((digest) => digest.addDetails(1, { timestampMs: 1, key: null, headers }))
  );
  assert.notEqual(first, second);
});
