import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { keyIn, parseFieldPath } from "../../../lib/producer/payload/key_field.ts";

Deno.test("parseFieldPath() reads names, indexes, and quoted names", () => {
  assert.deepEqual(parseFieldPath("customer.id"), ["customer", "id"]);
  assert.deepEqual(parseFieldPath("items[10].sku"), ["items", 10, "sku"]);
  assert.deepEqual(parseFieldPath('[0]["odd.\\" name"].x'), [0, 'odd." name', "x"]);
  for (const text of ["", ".a", "a.", "a..b", "a[", "a[x]", "a]b", "a b", "a['b']", "[0]x"]) {
    assert.throws(() => parseFieldPath(text), SyntaxError, text);
  }
});

const VALUE = Buffer.from(
  '{"a":{"id":"k1","n":12345678901234567890,"t":false,"e":"","z":null,"o":{}},"list":[1.50,"x"]}',
);

Deno.test("keyIn() takes strings, booleans, and numbers as written, and nothing else", () => {
  const expected = {
    "a.id": "k1",
    "a.n": "12345678901234567890",
    "a.t": "false",
    "a.e": "",
    "list[0]": "1.50",
    "list[1]": "x",
    "a.z": undefined,
    "a.o": undefined,
    "list": undefined,
    "list.length": undefined,
    "list[2]": undefined,
    "a.id.length": undefined,
    "a.n.text": undefined,
    "a.missing.deeper": undefined,
    "a.constructor": undefined,
  };
  for (const [path, key] of Object.entries(expected)) {
    assert.equal(keyIn(VALUE, parseFieldPath(path)), key, path);
  }
  for (const value of ["", "{", "17", "null", "\xff"]) {
    assert.equal(keyIn(Buffer.from(value, "latin1"), ["a"]), undefined, value);
  }
});
