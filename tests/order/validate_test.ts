import assert from "node:assert/strict";
import { Compile } from "typebox/compile";
import { Settings } from "typebox/system";
import { describeFailures, type OrderFailure } from "../../lib/order/failure.ts";
import { OrderSchema } from "../../lib/order/schema.ts";
import { FAILURES_MAX, judgeOrderText, validateOrder } from "../../lib/order/validate.ts";
import { Random } from "../../lib/shop/random.ts";

/** An order with all fields, as the Go producer writes it. */
const ORDER_JSON = `{
  "order_id": "f47ac10b-58cc-4372-a567-0e02b2c3d479",
  "sequence": 7,
  "status": "pending",
  "items": [
    { "item_id": "item-espresso", "item_name": "Espresso", "quantity": 3, "unit_price": 2.1, "total_price": 6.3 },
    { "item_id": "item-croissant", "item_name": "Croissant", "quantity": 2, "unit_price": 1.35, "total_price": 2.7 }
  ],
  "sub_total": 9,
  "tax": 1.8,
  "shipping_fee": 2.5,
  "total": 13.3,
  "currency": "EUR",
  "payment_method": "credit_card",
  "shipping_address": "4 Place Charlemagne, 14150 Vénissieux, France",
  "metadata": {
    "timestamp": "2026-01-02T03:04:05.678Z",
    "version": "1.1",
    "event_type": "order.created",
    "source": "producer-service",
    "correlation_id": "13a8b051-083e-4a83-a99e-56e70d7f5be7"
  },
  "customer_info": {
    "customer_id": "CUST-000006",
    "name": "Gontran Garcia",
    "email": "gontran.garcia@example.com",
    "phone": "+33 6 39 98 56 64",
    "address": "4 Place Charlemagne, 14150 Vénissieux, France",
    "loyalty_level": "silver"
  },
  "inventory_status": [
    { "item_id": "item-espresso", "item_name": "Espresso", "available_qty": 97, "reserved_qty": 3, "unit_price": 2.1, "in_stock": true, "warehouse": "PARIS-01" }
  ]
}`;

/** A path in the order in jq notation: `items[0].quantity`. */
type Path = string;

/** Returns the order with the values at the paths replaced, or removed if undefined. */
function orderWith(changes: Readonly<Record<Path, unknown>>): unknown {
  const order = JSON.parse(ORDER_JSON);
  for (const [path, value] of Object.entries(changes)) {
    const keys = path.replaceAll("]", "").split(/[.[]/);
    const last = keys.pop() ?? "";
    let parent = order;
    for (const key of keys) parent = parent[key];
    if (value === undefined) delete parent[last];
    else parent[last] = value;
  }
  return order;
}

/** Returns `path rule` of every failure. */
function failuresWith(changes: Readonly<Record<Path, unknown>>): string[] {
  return validateOrder(orderWith(changes)).map(({ path, rule }) => `${path} ${rule}`);
}

Deno.test("validateOrder() accepts an order of the Go producer", () => {
  assert.deepEqual(validateOrder(JSON.parse(ORDER_JSON)), []);
});

Deno.test("validateOrder() names the one rule that one wrong field violates", async (t) => {
  const cases: readonly [Path, unknown, string][] = [
    ["order_id", "", "uuid"],
    ["order_id", " ", "uuid"],
    ["order_id", "order-7", "uuid"],
    ["order_id", "f47ac10b-58cc-4372-a567-0e02b2c3d479\n", "uuid"],
    ["order_id", 7, "type"],
    ["order_id", null, "type"],
    ["sequence", 0, "positive-sequence"],
    ["sequence", -1, "positive-sequence"],
    ["sequence", 1.5, "type"],
    ["sequence", "7", "type"],
    ["sequence", 2 ** 53, "safe-integer"],
    ["status", "", "not-blank"],
    ["status", " \t\n\u00a0", "not-blank"],
    ["status", null, "type"],
    ["items", {}, "type"],
    ["items", null, "type"],
    ["items[0].item_id", " ", "not-blank"],
    ["items[1].item_name", "", "not-blank"],
    ["items[0].quantity", "3", "type"],
    ["items[0].quantity", 3.004, "type"],
    ["items[0].unit_price", "2.10", "type"],
    ["items[0].unit_price", NaN, "type"],
    ["sub_total", "9", "type"],
    ["sub_total", Infinity, "type"],
    ["tax", "1.8", "type"],
    ["tax", null, "type"],
    ["shipping_fee", [], "type"],
    ["total", true, "type"],
    ["total", 13.32, "total"],
    ["total", 1e300, "total"],
    ["currency", 978, "type"],
    ["payment_method", {}, "type"],
    ["shipping_address", ["4 Place Charlemagne"], "type"],
    ["metadata", "1.1", "type"],
    ["metadata.version", "2.0", "version"],
    ["metadata.version", "0.9", "version"],
    ["metadata.version", "10.1", "version"],
    ["metadata.version", "1.", "version"],
    ["metadata.version", "", "version"],
    ["metadata.version", 1.1, "type"],
    ["metadata.timestamp", 1_767_323_045_678, "type"],
    ["customer_info", [], "type"],
    ["customer_info.customer_id", "", "not-blank"],
    ["customer_info.customer_id", 6, "type"],
    ["customer_info.name", "  ", "not-blank"],
    ["customer_info.email", "gontran.garcia", "email"],
    ["customer_info.email", "@example.com", "email"],
    ["customer_info.email", "gontran@", "email"],
    ["customer_info.email", "gontran@example.", "email"],
    ["customer_info.email", "gontran@example..com", "email"],
    ["customer_info.email", "gontran@garcia@example.com", "email"],
    ["customer_info.email", "gontran garcia@example.com", "email"],
    ["customer_info.email", "<gontran@example.com>", "email"],
    ["customer_info.email", "gontran@example.com\u001b", "email"],
    ["customer_info.email", " ", "email"],
    ["customer_info.email", null, "type"],
    ["inventory_status", {}, "type"],
    ["inventory_status[0]", "none", "type"],
    ["inventory_status[0].available_qty", 0.5, "type"],
    ["inventory_status[0].in_stock", "yes", "type"],
  ];
  for (const [path, value, rule] of cases) {
    await t.step(`${path} = ${JSON.stringify(value)} breaks ${rule}`, () => {
      assert.deepEqual(failuresWith({ [path]: value }), [`${path} ${rule}`]);
    });
  }
});

Deno.test("validateOrder() also reports a sum that a wrong field makes inconsistent", () => {
  assert.deepEqual(failuresWith({ "items[0].quantity": 0 }), [
    "items[0].quantity positive-quantity",
    "items[0].total_price item-total",
  ]);
  assert.deepEqual(failuresWith({ "items[0].unit_price": -2.1 }), [
    "items[0].unit_price not-negative",
    "items[0].total_price item-total",
  ]);
  assert.deepEqual(failuresWith({ "items[0].total_price": 6.32 }), [
    "items[0].total_price item-total",
    "sub_total sub-total",
  ]);
  assert.deepEqual(failuresWith({ sub_total: 9.02 }), ["sub_total sub-total", "total total"]);
  assert.deepEqual(failuresWith({ items: [] }), ["items at-least-one-item"]);
  assert.deepEqual(failuresWith({ "items[0].unit_price": 1e308, "items[0].quantity": 2 ** 40 }), [
    "items[0].total_price item-total",
  ]);
});

Deno.test("validateOrder() requires only the fields that a rule mentions", () => {
  const required = [
    "order_id",
    "sequence",
    "status",
    "items",
    "items[0].item_id",
    "items[0].item_name",
    "items[0].quantity",
    "items[0].unit_price",
    "items[0].total_price",
    "sub_total",
    "total",
    "customer_info",
    "customer_info.customer_id",
    "customer_info.name",
  ];
  for (const path of required) {
    assert.deepEqual(failuresWith({ [path]: undefined }), [`${path} required`]);
  }
  const optional = [
    "currency",
    "payment_method",
    "shipping_address",
    "metadata",
    "metadata.timestamp",
    "metadata.version",
    "metadata.event_type",
    "metadata.source",
    "metadata.correlation_id",
    "customer_info.email",
    "customer_info.phone",
    "customer_info.address",
    "customer_info.loyalty_level",
    "inventory_status",
    "inventory_status[0].item_id",
    "inventory_status[0].item_name",
    "inventory_status[0].available_qty",
    "inventory_status[0].reserved_qty",
    "inventory_status[0].unit_price",
    "inventory_status[0].in_stock",
    "inventory_status[0].warehouse",
  ];
  for (const path of optional) assert.deepEqual(failuresWith({ [path]: undefined }), []);
});

Deno.test("validateOrder() treats an absent tax or shipping fee as 0", () => {
  assert.deepEqual(failuresWith({ tax: undefined, total: 11.5 }), []);
  assert.deepEqual(failuresWith({ shipping_fee: undefined, total: 10.8 }), []);
  assert.deepEqual(failuresWith({ tax: undefined }), ["total total"]);
});

Deno.test("validateOrder() accepts every version 1.x, unknown fields, and Go's null for an empty list", () => {
  for (const version of ["1", "1.0", "1.1", "1.7", "1.10.3"]) {
    assert.deepEqual(failuresWith({ "metadata.version": version }), []);
  }
  assert.deepEqual(failuresWith({ inventory_status: null }), []);
  assert.deepEqual(failuresWith({ inventory_status: [] }), []);
  const changes = {
    gift: true,
    "items[0].colour": "brown",
    "metadata.trace": { depth: 3 },
    "customer_info.vip": null,
  };
  assert.deepEqual(failuresWith(changes), []);
  const judgement = judgeOrderText(JSON.stringify(orderWith(changes)));
  assert.ok(judgement.kind === "order");
  assert.deepEqual(judgement.order, orderWith(changes), "unknown fields are kept");
});

Deno.test("validateOrder() accepts an e-mail address in any script, and an empty one", () => {
  for (
    const email of ["", "a@b", "josé@exämple.fr", "用户@例子.公司", "o'hara+x@mail.example.com"]
  ) {
    assert.deepEqual(failuresWith({ "customer_info.email": email }), [], email);
  }
});

Deno.test("validateOrder() accepts sums that are off by one cent and rejects two cents, in both directions", () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  const random = new Random(seed);
  const below = (bound: number) => Math.floor(random.unit() * bound);
  for (let round = 0; round < 3_000; round++) {
    const lines = Array.from({ length: 1 + below(8) }, () => {
      // Tenths of a cent: prices need not be rounded, only sums must agree.
      const unitPriceMilli = below(10 ** (3 + below(5)));
      const quantity = 1 + below(20);
      return { quantity, unitPriceMilli, totalMilli: quantity * unitPriceMilli };
    });
    const subTotalMilli = lines.reduce((sum, { totalMilli }) => sum + totalMilli, 0);
    const taxMilli = below(subTotalMilli + 1);
    const totalMilli = subTotalMilli + taxMilli + 2_500;

    const orderOff = (off: { item?: number; subTotal?: number; total?: number }) =>
      orderWith({
        items: lines.map(({ quantity, unitPriceMilli, totalMilli }, index) => ({
          item_id: "item",
          item_name: "Item",
          quantity,
          unit_price: unitPriceMilli / 1000,
          total_price: (totalMilli + (index === 0 ? off.item ?? 0 : 0)) / 1000,
        })),
        sub_total: (subTotalMilli + (off.subTotal ?? 0)) / 1000,
        tax: taxMilli / 1000,
        total: (totalMilli + (off.total ?? 0)) / 1000,
      });
    const rulesOf = (order: unknown) => validateOrder(order).map(({ rule }) => rule);

    const context = `seed ${seed}, round ${round}`;
    for (const sign of [1, -1]) {
      const cent = sign * 10;
      assert.deepEqual(rulesOf(orderOff({ item: cent })), [], context);
      assert.deepEqual(rulesOf(orderOff({ subTotal: cent })), [], context);
      assert.deepEqual(rulesOf(orderOff({ total: cent })), [], context);
      const item = 2 * cent;
      assert.deepEqual(rulesOf(orderOff({ item, subTotal: item, total: item })), ["item-total"]);
      const subTotal = 2 * cent;
      assert.deepEqual(rulesOf(orderOff({ subTotal, total: subTotal })), ["sub-total"], context);
      assert.deepEqual(rulesOf(orderOff({ total: 2 * cent })), ["total"], context);
    }
  }
});

Deno.test("validateOrder() reports every failure, the schema's first and then the sums", () => {
  const failures = validateOrder(orderWith({
    order_id: "x",
    status: undefined,
    "items[0].quantity": -1,
    "items[1]": null,
    total: 99,
    "metadata.version": "2.0",
    "customer_info.email": "nobody",
  }));
  const expected: OrderFailure[] = [
    { path: "status", rule: "required", expected: "a value", actual: "nothing" },
    { path: "order_id", rule: "uuid", expected: "a UUID", actual: '"x"' },
    {
      path: "items[0].quantity",
      rule: "positive-quantity",
      expected: "a whole number above 0",
      actual: "-1",
    },
    { path: "items[1]", rule: "type", expected: "an object", actual: "null" },
    { path: "metadata.version", rule: "version", expected: "version 1 or 1.x", actual: '"2.0"' },
    {
      path: "customer_info.email",
      rule: "email",
      expected: "an e-mail address or nothing",
      actual: '"nobody"',
    },
    {
      path: "items[0].total_price",
      rule: "item-total",
      expected: "-1 x 2.1 = -2.1 within 0.01",
      actual: "6.3",
    },
    {
      path: "total",
      rule: "total",
      expected: "9 + 1.8 + 2.5 = 13.3 within 0.01",
      actual: "99",
    },
  ];
  assert.deepEqual(failures, expected);
});

Deno.test("validateOrder() rejects a value that is not an object by its type", () => {
  for (const value of [null, undefined, 7, "order", true, [], [JSON.parse(ORDER_JSON)]]) {
    assert.deepEqual(validateOrder(value).map(({ path, rule }) => [path, rule]), [["", "type"]]);
  }
});

// Goal: no message makes the check throw, pass incorrectly, or fail without a reason.
// Method: put random JSON at random places of a valid order.
// Invariants: the failures agree with the published schema, never have the nameless rule, and are bounded.
Deno.test("validateOrder() always fails with a named rule, for random JSON at random places", () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  const random = new Random(seed);
  const published = Compile(JSON.parse(JSON.stringify(OrderSchema)));
  const oddities: readonly unknown[] = [
    ...[null, true, false, 0, -1, 0.005, 1e21, -1e308, 2 ** 53, "", " ", "x", "1.1", [], {}, [[]]],
    ...[[null], [1, "a"], { length: 3 }, { total_price: "1" }, JSON.parse('{"__proto__":{"a":1}}')],
  ];
  for (let round = 0; round < 5_000; round++) {
    const corrupted = JSON.parse(ORDER_JSON);
    const changeCount = 1 + random.uint32() % 3;
    for (let change = 0; change < changeCount; change++) corrupt(corrupted, random, oddities);
    // Serialized and parsed again, like a message: a list with a hole becomes one with a null.
    const order = JSON.parse(JSON.stringify(corrupted));
    const context = `seed ${seed}, round ${round}: ${JSON.stringify(order)}`;
    const failures = validateOrder(order);
    const sums = new Set(["item-total", "sub-total", "total"]);
    assert.equal(published.Check(order), failures.every(({ rule }) => sums.has(rule)), context);
    assert.ok(failures.every(({ rule }) => rule !== "schema"), context);
    assert.ok(describeFailures(failures).length <= 1_000, context);
  }
});

/** Replaces or removes a random part of the order at a random depth. */
function corrupt(
  order: Record<string, unknown>,
  random: Random,
  oddities: readonly unknown[],
): void {
  let parent: Record<string, unknown> = order;
  while (true) {
    const keys = Object.keys(parent);
    const key = keys[random.uint32() % keys.length];
    if (key === undefined) return;
    const child = parent[key];
    const isParent = typeof child === "object" && child !== null;
    if (isParent && random.unit() < 0.7) {
      parent = child as Record<string, unknown>;
      continue;
    }
    if (random.unit() < 0.2) delete parent[key];
    else parent[key] = structuredClone(oddities[random.uint32() % oddities.length]);
    return;
  }
}

Deno.test("validateOrder() collects a bounded number of failures and does not change TypeBox's settings", () => {
  const { maxErrors } = Settings.Get();
  using restoring = new DisposableStack();
  restoring.defer(() => Settings.Set({ maxErrors }));
  Settings.Set({ maxErrors: 3 });
  const failures = validateOrder(orderWith({ items: Array(50_000).fill({}) }));
  assert.equal(failures.length, FAILURES_MAX);
  const sums = validateOrder(orderWith({
    items: Array(50_000).fill({
      item_id: "i",
      item_name: "I",
      quantity: 1,
      unit_price: 1,
      total_price: 2,
    }),
  }));
  assert.equal(sums.length, FAILURES_MAX);
  assert.equal(Settings.Get().maxErrors, 3);
});

Deno.test("judgeOrderText() distinguishes a valid order, invalid JSON, a non-object, and an invalid order", () => {
  assert.deepEqual(judgeOrderText(ORDER_JSON), { kind: "order", order: JSON.parse(ORDER_JSON) });
  assert.deepEqual(judgeOrderText(""), { kind: "not-json", error: "Unexpected end of JSON input" });
  assert.equal(judgeOrderText("\ufeff{}").kind, "not-json");
  assert.deepEqual(judgeOrderText("[1,2]"), {
    kind: "not-an-object",
    error: "expected a JSON object, got an array of 2",
  });
  assert.deepEqual(judgeOrderText("null"), {
    kind: "not-an-object",
    error: "expected a JSON object, got null",
  });
  const status = orderWith({ status: "" });
  assert.deepEqual(judgeOrderText(JSON.stringify(status)), {
    kind: "invalid",
    value: status,
    failures: [{
      path: "status",
      rule: "not-blank",
      expected: "text that is not blank",
      actual: '""',
    }],
  });
});

Deno.test("judgeOrderText() is safe with hostile text", async (t) => {
  const ruleOf = (text: string) => {
    const judgement = judgeOrderText(text);
    return judgement.kind === "invalid" ? judgement.failures[0]?.rule : judgement.kind;
  };
  const kindOf = (text: string) => judgeOrderText(text).kind;

  await t.step("a number that overflows to infinity", () => {
    const text = ORDER_JSON.replace('"total": 13.3', '"total": 1e999');
    assert.deepEqual(judgeOrderText(text), {
      kind: "invalid",
      value: orderWith({ total: Infinity }),
      failures: [{ path: "total", rule: "type", expected: "a number", actual: "Infinity" }],
    });
  });
  await t.step("a sequence past 2^53", () => {
    const text = ORDER_JSON.replace('"sequence": 7', '"sequence": 9007199254740993');
    assert.equal(ruleOf(text), "safe-integer");
  });
  await t.step("__proto__ and constructor as keys", () => {
    const keys = '"__proto__": {"status": "pending", "polluted": true}, "constructor": 1,';
    assert.equal(kindOf(ORDER_JSON.replace("{", `{${keys}`)), "order");
    assert.equal(Reflect.get({}, "polluted"), undefined);
    const inherited = ORDER_JSON.replace('"status": "pending"', '"__proto__": {"status": "a"}');
    assert.equal(ruleOf(inherited), "required");
  });
  await t.step("200,000 levels of nesting", () => {
    const depth = 200_000;
    assert.equal(kindOf("[".repeat(depth)), "not-json");
    assert.equal(kindOf("[".repeat(depth) + "]".repeat(depth)), "not-an-object");
    const deep = `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
    assert.equal(kindOf(ORDER_JSON.replace("{", `{"deep":${deep},`)), "order");
    assert.equal(ruleOf(ORDER_JSON.replace('"pending"', deep)), "type");
  });
  await t.step("long text, on which no pattern may be slow", () => {
    const long = (character: string) => character.repeat(1_000_000);
    for (const email of [long("a"), `a@${long("a.")}`, `${long("a")}@`, `a@${long("a")} `]) {
      assert.equal(ruleOf(JSON.stringify(orderWith({ "customer_info.email": email }))), "email");
    }
    assert.equal(ruleOf(JSON.stringify(orderWith({ status: long(" ") }))), "not-blank");
    assert.equal(ruleOf(JSON.stringify(orderWith({ order_id: long("0") }))), "uuid");
    assert.equal(ruleOf(JSON.stringify(orderWith({ "metadata.version": long("1.") }))), "version");
  });
  await t.step("an error has a bounded length", () => {
    const judgement = judgeOrderText(`{"a": "${"x".repeat(100_000)}`);
    assert.ok(judgement.kind === "not-json" && judgement.error.length <= 200);
  });
});

Deno.test("describeFailures() states the expected and actual values on one line", () => {
  assert.equal(describeFailures([]), "");
  assert.equal(describeFailures(validateOrder(7)), "order (type): expected an object, got 7");
  assert.equal(
    describeFailures(validateOrder(orderWith({ "items[1].quantity": 0, total: "13.3\n" }))),
    "items[1].quantity (positive-quantity): expected a whole number above 0, got 0; " +
      'total (type): expected a number, got "13.3\\n"; ' +
      "items[1].total_price (item-total): expected 0 x 1.35 = 0 within 0.01, got 2.7",
  );
});

Deno.test("describeFailures() truncates long values, more than 10 failures, and lines beyond 1,000 characters", () => {
  const [long] = validateOrder(orderWith({ order_id: "é".repeat(10_000) }));
  assert.equal(long?.actual, `"${"é".repeat(40)}"…`);

  const eleven = validateOrder({ items: [{}] });
  assert.equal(eleven.length, 11);
  assert.match(describeFailures(eleven), /; and 1 more$/);

  const wide = validateOrder(orderWith({
    items: Array(50).fill({ item_id: "\u0000".repeat(100), item_name: "\u0000".repeat(100) }),
    order_id: "\u0000".repeat(100),
    status: 1,
    sequence: "\u0000".repeat(100),
    total: "\u0000".repeat(100),
  }));
  const line = describeFailures(wide);
  assert.ok(line.length <= 1_000, `${line.length} characters`);
  assert.match(line, /^order_id \(uuid\): .*; and \d+ more$/);
});

Deno.test("OrderSchema is a JSON Schema document that can be published", () => {
  const published = JSON.parse(JSON.stringify(OrderSchema));
  assert.equal(published.$schema, "https://json-schema.org/draft/2020-12/schema");
  assert.equal(published.$id, "urn:orderflow:order:1");
  assert.deepEqual(published.properties.inventory_status.type, ["array", "null"]);
  assert.equal(published.properties.sequence.exclusiveMinimum, 0);
  assert.deepEqual(published.required, [
    "order_id",
    "sequence",
    "status",
    "items",
    "sub_total",
    "total",
    "customer_info",
  ]);
});
