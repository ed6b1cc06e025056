import assert from "node:assert/strict";
import { counted, printable, printableShort, withThousands } from "../lib/text.ts";

Deno.test("printable() leaves ordinary text in any script unchanged", () => {
  for (const text of ["plain", "Élodie Lefèvre", "日本語", "naïve 😀 family 👩", "tab-free"]) {
    assert.equal(printable(text), text);
  }
});

Deno.test("printable() escapes control, bidirectional, and invisible characters", () => {
  assert.equal(printable("a\u001b[2Jb"), "a\\u001b[2Jb");
  assert.equal(printable("\r\n\t\u0000\u007f\u009b"), "\\r\\n\\t\\u0000\\u007f\\u009b");
  assert.equal(printable("\u202eevil\u2066x\u200b\ufeff"), "\\u202eevil\\u2066x\\u200b\\ufeff");
  assert.equal(printable("\u{e0041}\ud800"), "\\u{e0041}\\ud800");
});

Deno.test("printableShort() truncates before it escapes, and marks the omission", () => {
  assert.equal(printableShort("abcdef", 6), "abcdef");
  assert.equal(printableShort("abcdefg", 6), "abcde…");
  assert.equal(printableShort("\u001b\u001b\u001b", 2), "\\u001b…");
});

Deno.test("counted() and withThousands() format numbers for people", () => {
  assert.equal(withThousands(1_284_000), "1,284,000");
  assert.equal(counted(1, "order"), "1 order");
  assert.equal(counted(0, "order"), "0 orders");
});
