import assert from "node:assert/strict";
import { AMOUNT_MAX, toCents, toDecimal, withinOneCent } from "../../lib/order/money.ts";

Deno.test("toCents() rounds to the nearest cent, and a half away from zero", () => {
  const cases = [
    [0, 0],
    [-0, 0],
    [19.99, 1999],
    [0.29, 29],
    [1.1, 110],
    [4.35, 435],
    [0.005, 1],
    [1.005, 101],
    [8.575, 858],
    [10.0349, 1003],
    [-1.005, -101],
    [-0.001, 0],
    [1e12, 1e14],
  ] as const;
  for (const [amount, cents] of cases) assert.equal(toCents(amount), cents, `toCents(${amount})`);
});

Deno.test("toCents() rejects values that are not amounts", () => {
  for (const amount of [NaN, Infinity, -Infinity, AMOUNT_MAX * 1.001]) {
    assert.throws(() => toCents(amount), RangeError);
  }
  assert.throws(() => toCents(Infinity), {
    message: "cannot convert the amount Infinity to cents, expected a number within ±1000000000000",
  });
});

Deno.test("toDecimal() and toCents() are inverse, and decimals have at most 2 digits", () => {
  for (let cents = -250_000; cents <= 250_000; cents += 7) {
    const amount = toDecimal(cents);
    assert.equal(toCents(amount), cents);
    assert.match(String(amount), /^-?\d+(\.\d{1,2})?$/);
  }
});

Deno.test("withinOneCent() accepts a difference of one cent and rejects a thousandth more", () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  let state = seed;
  for (let round = 0; round < 100_000; round++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    // Up to 1,000, 1,000,000, and 1,000,000,000 in turn, in whole thousandths.
    const thousandths = Math.floor(state / 2 ** 32 * 10 ** (6 + 3 * (round % 3)));
    const amount = thousandths / 1000;
    const context = `seed ${seed}, amount ${amount}`;
    assert.ok(withinOneCent(amount, (thousandths + 10) / 1000), context);
    assert.ok(withinOneCent((thousandths - 10) / 1000, amount), context);
    assert.ok(!withinOneCent(amount, (thousandths + 11) / 1000), context);
    assert.ok(!withinOneCent((thousandths - 20) / 1000, amount), context);
  }
});

Deno.test("withinOneCent() is never true for Infinity or NaN", () => {
  for (const amount of [Infinity, -Infinity, NaN]) {
    assert.equal(withinOneCent(amount, amount), false);
    assert.equal(withinOneCent(amount, 1), false);
  }
});
