import assert from "node:assert/strict";
import { ByteSearch, PATTERN_BYTES_MAX } from "../../lib/byte_search.ts";
import { seededRandom } from "../journal/fixture.ts";

const ENCODER = new TextEncoder();

function positionsOf(bytes: Uint8Array, patterns: readonly Uint8Array[]): readonly number[] {
  const positions: number[] = [];
  new ByteSearch(patterns).visit(bytes, (position) => {
    positions.push(position);
    return position + 1;
  });
  return positions;
}

Deno.test("ByteSearch finds the same positions of every pattern as a naive search", () => {
  const random = seededRandom(1);
  const below = (count: number) => Math.floor(random() * count);
  const bytes = (length: number) => new Uint8Array(length).map(() => 97 + below(3));
  for (let round = 0; round < 300; round++) {
    const text = bytes(below(150));
    const patterns = Array.from({ length: 1 + below(3) }, () => bytes(1 + below(5)));
    const expected = [...text.keys()].filter((start) =>
      patterns.some((pattern) => pattern.every((byte, index) => text[start + index] === byte))
    );
    assert.deepEqual(positionsOf(text, patterns), expected);
  }
});

Deno.test("ByteSearch finds patterns across its windows, and none across separate inputs", () => {
  const pattern = new Uint8Array(PATTERN_BYTES_MAX).fill(0x78);
  const MIB = 1024 * 1024;
  const bytes = new Uint8Array(2 * MIB + 100);
  const places = [0, MIB - 1, 2 * MIB - PATTERN_BYTES_MAX, bytes.length - PATTERN_BYTES_MAX];
  for (const place of places) bytes.set(pattern, place);
  const found = positionsOf(bytes, [pattern]);
  for (const place of places) assert.ok(found.includes(place), `at ${place}`);
  const search = new ByteSearch([ENCODER.encode("needle")]);
  const none = () => assert.fail("found");
  search.visit(ENCODER.encode("  needl"), none);
  search.visit(ENCODER.encode("needl"), none);
  search.visit(new Uint8Array(), none);
});

Deno.test("ByteSearch continues at the position that the visitor returns", () => {
  const found: number[] = [];
  new ByteSearch([ENCODER.encode("a")]).visit(ENCODER.encode("aaaaaaaa"), (position) => {
    found.push(position);
    return position + 3;
  });
  assert.deepEqual(found, [0, 3, 6]);
});
