import assert from "node:assert/strict";
import { kernel } from "../../lib/kernel/kernel.ts";
import { compilePlan } from "../../lib/kernel/plan.ts";
import { isSurelyOrder } from "../../lib/order/scan.ts";
import { judgeOrderText } from "../../lib/order/validate.ts";
import { createShop } from "../../lib/shop/shop.ts";
import { Random } from "../../lib/shop/random.ts";

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const SHOP = createShop({ seed: 7, countries: ["FR", "DE", "GB", "US", "SE"] });
const ORDERS = Array.from(
  { length: 200 },
  () => ENCODER.encode(JSON.stringify(SHOP.nextOrder(Date.UTC(2026, 10, 25)))),
);

function below(random: Random, bound: number): number {
  return random.uint32() % bound;
}

/** Reports whether the parsing check accepts the bytes. */
function isOrder(bytes: Uint8Array): boolean {
  try {
    return judgeOrderText(DECODER.decode(bytes)).kind === "order";
  } catch {
    return false; // not UTF-8
  }
}

function orderWith(from: string | RegExp, to: string): Uint8Array {
  const text = DECODER.decode(ORDERS[0]);
  const changed = text.replace(from, to);
  assert.notEqual(changed, text, `${from} does not occur in the order`);
  return ENCODER.encode(changed);
}

Deno.test("isSurelyOrder() accepts every order of the shop, in any country, compact or indented", () => {
  for (const order of ORDERS) {
    assert.ok(isSurelyOrder(order), DECODER.decode(order));
    const spaced = JSON.stringify(JSON.parse(DECODER.decode(order)), null, "\t");
    assert.ok(isSurelyOrder(ENCODER.encode(` \r\n${spaced}\n`)));
  }
});

/**
 * Goal: whatever the scan accepts, the parsing check accepts too.
 * Method: one to three random bytes of valid orders are changed, dropped, duplicated, or swapped.
 */
Deno.test("isSurelyOrder() never accepts an order that judgeOrderText() rejects", () => {
  const seed = Number(Deno.env.get("ORDERFLOW_SEED") ?? Math.floor(Math.random() * 2 ** 32));
  const random = new Random(seed);
  const letters = ENCODER.encode('"\\{}[]:,.-+eE0123456789@ \t\nabn\u0000\u001fé');
  let yesCount = 0;
  for (let round = 0; round < 10_000; round++) {
    const bytes = [...ORDERS[below(random, ORDERS.length)] ?? []];
    for (let change = 1 + below(random, 3); change > 0; change--) {
      const at = below(random, bytes.length);
      const byte = letters[below(random, letters.length)] ?? 0;
      const other = below(random, bytes.length);
      [
        () => bytes.splice(at, 1, byte),
        () => bytes.splice(at, 0, byte),
        () => bytes.splice(at, 1 + below(random, 3)),
        () => bytes.splice(at, 0, ...bytes.slice(other, other + below(random, 40))),
        () => bytes.splice(at, 1, bytes[at] === 0x30 ? 0x39 : 0x30),
      ][below(random, 5)]?.();
    }
    const changed = new Uint8Array(bytes);
    if (!isSurelyOrder(changed)) continue;
    yesCount++;
    if (!isOrder(changed)) assert.fail(`ORDERFLOW_SEED=${seed}: ${DECODER.decode(changed)}`);
  }
  assert.ok(yesCount > 250, `${yesCount} changed orders were still valid`);
});

Deno.test("isSurelyOrder() rejects a violation of each rule", () => {
  for (
    const [from, to] of [
      [/"sequence":\d+/, '"sequence":0'],
      [/"sequence":\d+/, '"sequence":1.5'],
      [/"sequence":\d+/, '"sequence":9007199254740993'],
      [/"status":"pending"/, '"status":"  "'],
      [/"status":"pending"/, '"status":"pending","status":""'],
      [/"status":"pending",/, ""],
      [/"order_id":"../, '"order_id":"g'],
      [/"items":\[.*?\],"sub/, '"items":[],"sub'],
      [/"quantity":\d+/, '"quantity":0'],
      [/"unit_price":[\d.]+/, '"unit_price":-1'],
      [/"total_price":[\d.]+/, '"total_price":0.5'],
      [/"sub_total":[\d.]+/, '"sub_total":0.5'],
      [/"total":[\d.]+/, '"total":0.5'],
      [/"tax":[\d.]+/, '"tax":"1"'],
      [/"version":"1.1"/, '"version":"2.0"'],
      [/"version":"1.1"/, '"version":"1."'],
      [/"email":"[^"]+"/, '"email":"nobody"'],
      [/"email":"[^"]+"/, '"email":"a@b@c"'],
      [/"email":"[^"]+"/, '"email":"a@b..c"'],
      [/"in_stock":true/, '"in_stock":1'],
      [/"customer_id":"[^"]+"/, '"customer_id":" "'],
    ] as const
  ) {
    const changed = orderWith(from, to);
    assert.ok(!isOrder(changed), `${to} breaks a rule`);
    assert.ok(!isSurelyOrder(changed), to);
  }
});

Deno.test("isSurelyOrder() leaves valid but unusual orders to the parser", () => {
  for (
    const [from, to] of [
      [/"status":"pending"/, '"status":"\\u0070ending"'],
      [/"sequence":(\d+)/, '"sequence":$1e0'],
      [/"status":"pending"/, '"status":"pending","note":[1]'],
      [/"status":"pending"/, '"status":"","status":"pending"'],
      [/"email":"[^"]+"/, '"email":"ä@bücher.example"'],
    ] as const
  ) {
    const changed = orderWith(from, to);
    assert.ok(isOrder(changed), `${to} breaks no rule`);
    assert.ok(!isSurelyOrder(changed), to);
  }
});

/** Compiles a plan for an object with one number that must equal this one. */
function planFor(number: number): Uint8Array {
  const property = { type: "number", minimum: number, maximum: number };
  const schema = { type: "object", properties: { n: property }, required: ["n"] };
  return compilePlan(schema, { forms: new Map(), sums: [], tolerance: 0 });
}

function isNumber(text: string, plan: Uint8Array): boolean {
  return kernel().isSure(ENCODER.encode(`{"n":${text}}`), plan);
}

Deno.test("the kernel reads a decimal like JSON.parse", () => {
  const random = new Random(3);
  const numbers = ["0", "-0", "0.1", "-12.50", "999999999999999", "0.00000000000001", "1.0"];
  for (let round = 0; round < 2_000; round++) {
    const digits = 1 + below(random, 15);
    numbers.push((below(random, 10 ** 9) / 10 ** below(random, 9)).toFixed(below(random, digits)));
  }
  for (const number of numbers) {
    const isShort = number.replace(/[-.]/g, "").length <= 15;
    assert.equal(isNumber(number, planFor(JSON.parse(number))), isShort, number);
  }
  for (const text of ["01", "-", "1.", ".5", "+1", "1e3", "1-1", "--1", "0x1", "NaN", "1.2.3"]) {
    const any = compilePlan(
      { type: "object", properties: { n: { type: "number" } } },
      { forms: new Map(), sums: [], tolerance: 0 },
    );
    assert.ok(isNumber("1.5", any));
    assert.ok(!isNumber(text, any), text);
  }
});

Deno.test("compilePlan() rejects a schema with a rule that the kernel does not check", () => {
  for (
    const schema of [
      { type: "number", multipleOf: 2 },
      { type: "string", pattern: "^a$" },
      { type: "string", minLength: 2 },
      { type: ["string", "null"] },
      { anyOf: [] },
    ]
  ) {
    const compile = () => compilePlan(schema, { forms: new Map(), sums: [], tolerance: 0 });
    assert.throws(compile, TypeError, JSON.stringify(schema));
  }
});

Deno.test("compilePlan() supports rules of any object, including nested lists", () => {
  const amounts = (...names: string[]) =>
    Object.fromEntries(names.map((name) => [name, { type: "number" }]));
  const box = { type: "object", properties: amounts("weight", "count", "total") };
  const pallet = {
    type: "object",
    properties: { boxes: { type: "array", items: box }, ...amounts("weight") },
  };
  const plan = compilePlan(
    {
      type: "object",
      properties: { pallets: { type: "array", items: pallet }, sum: amounts("w").w },
    },
    {
      forms: new Map(),
      sums: [
        {
          amount: "pallets.boxes.total",
          operation: "product",
          terms: ["pallets.boxes.weight", "pallets.boxes.count"],
        },
        { amount: "pallets.weight", operation: "sum", terms: ["pallets.boxes.total"] },
        { amount: "sum", operation: "sum", terms: ["pallets.weight"] },
      ],
      tolerance: 0,
    },
  );
  const load = (weights: readonly number[], sum: number) =>
    ENCODER.encode(JSON.stringify({
      pallets: weights.map((weight) => ({
        boxes: [{ weight: 2, count: 3, total: 6 }, { count: 2, weight: 0.5, total: 1 }, {
          count: 3,
        }],
        weight,
      })),
      sum,
    }));
  assert.ok(kernel().isSure(load([7, 7], 14), plan));
  assert.ok(kernel().isSure(load([], 0), plan));
  assert.ok(!kernel().isSure(load([7, 8], 15), plan));
  assert.ok(!kernel().isSure(load([7, 7], 7), plan));
});
