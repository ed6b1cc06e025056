import assert from "node:assert/strict";
import { crc32c } from "../../../lib/kafka/protocol/crc32c.ts";

Deno.test("crc32c() returns the checksums of RFC 3720, B.4", () => {
  const cases: [Uint8Array, number][] = [
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(0xff), 0x62a8ab43],
    [Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
    [Uint8Array.from({ length: 32 }, (_, index) => 31 - index), 0x113fdb5c],
    [new TextEncoder().encode("123456789"), 0xe3069283],
    [new Uint8Array(), 0],
  ];
  for (const [bytes, checksum] of cases) assert.equal(crc32c(bytes), checksum);
});

Deno.test("crc32c() does not depend on alignment, and detects a changed last byte", () => {
  const bytes = Uint8Array.from({ length: 100 }, (_, index) => index * 7);
  for (let length = 0; length < 40; length++) {
    const expected = crc32c(bytes.slice(3, 3 + length));
    assert.equal(crc32c(bytes.subarray(3, 3 + length)), expected, `${length} bytes`);
    if (length > 0) {
      const changed = bytes.slice(3, 3 + length);
      changed[length - 1] = (changed[length - 1] ?? 0) ^ 1;
      assert.notEqual(crc32c(changed), expected, `${length} bytes`);
    }
  }
});

Deno.test("crc32c() matches a bitwise polynomial division, for every length around its step size", () => {
  const divided = (bytes: Uint8Array) => {
    let crc = 0xffffffff;
    for (const byte of bytes) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    }
    return ~crc >>> 0;
  };
  const bytes = crypto.getRandomValues(new Uint8Array(100));
  for (let length = 0; length <= bytes.length; length++) {
    const some = bytes.subarray(0, length);
    assert.equal(crc32c(some), divided(some), `${length} bytes of ${bytes.toHex()}`);
  }
});
