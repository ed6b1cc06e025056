import assert from "node:assert/strict";
import { parseAge, parseSize } from "../../lib/cli/cli.ts";

Deno.test("parseSize() accepts powers of 1,000 and of 1,024, and nothing below 1 kB", () => {
  const sizes = { "1kB": 1e3, "256MB": 256e6, "1.5GB": 1.5e9, "1gb": 1e9, "64KiB": 65_536 };
  for (const [text, bytes] of Object.entries(sizes)) assert.equal(parseSize(text), bytes, text);
  for (const text of ["", "1", "12B", "0MB", "0.5kB", "1 GB", "-1GB", "1PB", "GB", "9999999TB"]) {
    assert.throws(() => parseSize(text), /expected a size from 1kB on/, text);
  }
});

Deno.test("parseAge() accepts seconds to weeks, but not zero", () => {
  const ages = { "1s": 1e3, "90m": 5.4e6, "12h": 43.2e6, "30d": 2_592e6, "52w": 31_449.6e6 };
  for (const [text, ms] of Object.entries(ages)) assert.equal(parseAge(text), ms, text);
  for (const text of ["", "30", "0d", "1ms", "-1d", "1y", "1d12h"]) {
    assert.throws(() => parseAge(text), /expected a time such as 12h/, text);
  }
});
