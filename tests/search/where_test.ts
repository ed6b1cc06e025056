import assert from "node:assert/strict";
import { parseWhere } from "../../lib/search/where.ts";

const VALUE = JSON.parse(`{
  "total": 215.5, "sub_total": 215.5, "status": "pending", "none": null, "paid": false, "zero": 0, "empty": "",
  "items": [{"item_id": "ITEM-1", "quantity": 2}, {"item_id": "ITEM-7", "quantity": 30}],
  "nested": [[1, 2], [3]], "odd name": "x", "it's \\"é\\"": 1, "a-b": {"c": "d"}, "__proto__": {"own": 1},
  "length": 3, "order_full": "inner"
}`);

const HOLDS: Readonly<Record<string, boolean>> = {
  "total == 215.5": true,
  "total > 100": true,
  "100 < total": true,
  "total >= 215.50": true,
  "total <= 2.155e2": true,
  "total < 215.5": false,
  "total != 215.5": false,
  "total == sub_total": true,
  "order_full.total == 215.5": true,
  "order_full.order_full == 'inner'": true,
  'status == "pending"': true,
  "status == 'pending'": true,
  'status > "paid"': true,
  // Values are compared without type conversion.
  'total == "215.5"': false,
  'total != "215.5"': true,
  'total > "100"': false,
  "status > 1": false,
  "paid < 1": false,
  "none == null": true,
  "none >= null": false,
  "zero == false": false,
  "empty == false": false,
  // An absent field is false.
  "missing == null": false,
  "missing != 1": false,
  "missing < 1": false,
  "!(missing == 1)": true,
  "total.cents == 1": false,
  "items[9].item_id == 'x'": false,
  "status[0] == 'p'": false,
  // A path by itself.
  "total": true,
  "zero": true,
  "empty": true,
  "paid": false,
  "none": false,
  "missing": false,
  "!missing && total": true,
  // Array elements.
  'items[*].item_id == "ITEM-7"': true,
  'items[*].item_id == "ITEM-8"': false,
  'items[0].item_id == "ITEM-7"': false,
  'items[1].item_id == "ITEM-7"': true,
  "items[*].quantity > 29": true,
  "items[*].quantity != 2": true,
  "items.quantity == 2": false,
  "nested[*][*] == 3": true,
  "nested[1][0] == 3": true,
  "items[*]": true,
  "items == 'x'": false,
  // Field names.
  'order_full["odd name"] == "x"': true,
  "order_full['it\\'s \"é\"'] == 1": true,
  'a-b.c == "d"': true,
  "__proto__.own == 1": true,
  "constructor": false,
  "toString": false,
  "items.length == 2": false,
  "length == 3": true,
  // Operator precedence.
  "total == 1 || total == 215.5 && paid == true": false,
  "(total == 1 || total == 215.5) && paid == false": true,
  "!(total == 1) && !!zero": true,
  "total==215.5&&zero==0": true,
};

Deno.test("a --where expression compares by type, treats absent fields as false, and matches any element with [*]", () => {
  for (const [text, expected] of Object.entries(HOLDS)) {
    assert.equal(parseWhere(text).holds(VALUE), expected, text);
  }
});

const ERRORS: Readonly<Record<string, string>> = {
  "": "column 1: expected a field or a value, found the end",
  "total >": "column 8: expected a field or a value, found the end",
  "total = 3": "column 7: expected ==, found =",
  "total == 3 & x": "column 12: expected &&, found &",
  "total == 3 x": "column 12: expected && or ||, found x",
  "(total == 3": "column 12: expected ), found the end",
  "total == 'x": "column 10: the string does not end",
  'total == "\\x"': 'column 10: expected the escapes of JSON in "\\x"',
  "items[x] == 3": "column 7: expected an index, *, or a quoted name, found x",
  "items[-1] == 3": "column 7: expected an index, *, or a quoted name, found -1",
  "items[0 == 3": "column 9: expected ], found ==",
  "a. == 3": "column 4: expected a field's name, found ==",
  "3": "column 1: expected a comparison with this value",
  "a == 3 && true": "column 11: expected a comparison with this value",
  "alert(1)": "column 6: expected && or ||, found (",
  "a == `x`": "column 6: unexpected `",
  "a + b": "column 3: unexpected +",
  '["odd name"] == 1': "column 1: expected a field or a value, found [",
};

Deno.test("an error in a --where expression gives its column", () => {
  for (const [text, message] of Object.entries(ERRORS)) {
    assert.throws(() => parseWhere(text), { name: "SyntaxError", message }, text);
  }
  const deep = `${"(".repeat(50_000)}a${")".repeat(50_000)}`;
  assert.throws(() => parseWhere(deep), { message: "column 101: nested too deeply" });
  assert.throws(() => parseWhere("!".repeat(50_000)), { message: "column 101: nested too deeply" });
});

Deno.test("absentPaths() names paths that were evaluated but never found in any value", () => {
  const { holds, absentPaths } = parseWhere('totl > 5 || items[*].nme == "x" && absent.here');
  assert.deepEqual(absentPaths(), []);
  for (const total of [1, 9]) assert.equal(holds({ total, items: [{ name: "x" }] }), false);
  assert.deepEqual(absentPaths(), ["totl", "items[*].nme"]);
  holds({ totl: 7 });
  assert.deepEqual(absentPaths(), ["items[*].nme"]);
});
