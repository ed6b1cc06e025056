import assert from "node:assert/strict";
import { isInteroperable } from "../../lib/order/interoperable_json.ts";
import { Random } from "../../lib/shop/random.ts";

const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);

Deno.test("isInteroperable() accepts JSON that common readers interpret the same way", () => {
  for (
    const json of [
      "{}",
      '{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}',
      '{"a":"a","b":"\\"a\\":1","c":"\\\\"}',
      '{"a":"\\ud83d\\ude00 \\u00e9 é 😀"}',
      '{"a":1e308,"b":-1.5E-400,"c":12345678901234567890}',
      `{"a":${nested(63)}}`,
      ' {\r\n"a" :\t[ 1 , 2 ] } ',
      `{"a":${"1".repeat(300)}}`,
    ]
  ) {
    JSON.parse(json);
    assert.equal(isInteroperable(json), true, json);
  }
});

Deno.test("isInteroperable() rejects repeated names, infinite numbers, lone surrogates, and deep nesting", () => {
  for (
    const json of [
      '{"a":1,"a":1}',
      '{"a":1,"b":{"c":1,"\\u0063":2}}',
      '{"a" : 1, "a"\n:2}',
      '{"":1,"":2}',
      '{"a":1e309}',
      '{"a":[-1E+999]}',
      `{"a":${"1".repeat(400)}}`,
      '{"a":"\\ud800"}',
      '{"a":"\\ude00\\ud83d"}',
      '{"\\udbff":1}',
      `{"a":${nested(64)}}`,
      nested(2_000),
      `${'{"a":'.repeat(65)}1${"}".repeat(65)}`,
    ]
  ) {
    JSON.parse(json);
    assert.equal(isInteroperable(json), false, json.slice(0, 100));
  }
});

/** Generates JSON text, together with whether it is interoperable by construction. */
function randomJson(random: Random, depth: number): { text: string; isGood: boolean } {
  const below = (limit: number) => Math.floor(random.unit() * limit);
  const kind = below(depth === 0 ? 3 : 5);
  if (kind === 0) {
    return { text: `"${["x", "{", '\\"', "\\\\", "]", ":"][below(6)]}"`, isGood: true };
  }
  if (kind === 1) return { text: String(below(1e6) / 100), isGood: true };
  if (kind === 2) {
    const [text, isGood] = ([["1e400", false], ['"\\ud8aa"', false], ["null", true]] as const)[
      below(20) === 0 ? below(2) : 2
    ] ?? ["true", true];
    return { text, isGood };
  }
  const parts = Array.from({ length: below(4) }, () => randomJson(random, depth - 1));
  const isGood = parts.every((part) => part.isGood);
  if (kind === 3) return { text: `[${parts.map(({ text }) => text).join(" ,")}]`, isGood };
  const isRepeated = parts.length > 1 && below(10) === 0;
  const fields = parts.map(({ text }, index) => `"${isRepeated ? "n" : `n${index}`}": ${text}`);
  return { text: `{${fields.join(",")}}`, isGood: isGood && !isRepeated };
}

Deno.test("isInteroperable() classifies random JSON correctly", () => {
  const seed = Number(Deno.env.get("ORDERFLOW_SEED") ?? Math.floor(Math.random() * 2 ** 32));
  const random = new Random(seed);
  const counts = { good: 0, bad: 0 };
  for (let round = 0; round < 5_000; round++) {
    const { text, isGood } = randomJson(random, 4);
    assert.equal(isInteroperable(text), isGood, `ORDERFLOW_SEED=${seed}: ${text}`);
    counts[isGood ? "good" : "bad"]++;
  }
  assert.ok(counts.good > 100 && counts.bad > 100, JSON.stringify(counts));
});
