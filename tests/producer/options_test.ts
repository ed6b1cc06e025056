import assert from "node:assert/strict";
import { pacingOf, parseProducerOptions } from "../../lib/producer/options.ts";

const WRONG: readonly (readonly [string, RegExp])[] = [
  ["--ramp 100", /expected stages RATE:TIME with commas, .* got "100"/],
  ["--ramp 100:ten", /expected a time such as 250ms/],
  ["--ramp 0:10s", /expected at least one stage in which orders are due/],
  ["--ramp 100:0s", /expected at least one stage in which orders are due/],
  ["--ramp 100:10s --rate 5", /'--ramp .*' cannot be used with option '--rate/],
  ["--bad 0", /expected a percentage above 0 and up to 100/],
  ["--bad 101", /expected a percentage above 0 and up to 100/],
  ["--bad 5 --bad-kinds empty,rotten", /expected one or more of malformed-json, /],
  ["--bad-kinds empty", /^--bad-kinds without --bad/],
  ["--countries FR,XX", /expected one or more of FR, DE, GB, US, SE/],
  ["--start-time yesterday", /expected a time in ISO 8601 with its zone/],
  ["--start-time 2026-01-31T08:00:00", /expected a time in ISO 8601 with its zone/],
  ["--compression brotli", /Allowed choices are none, gzip, snappy, lz4, zstd/],
  ["--buffer 0", /expected a whole number from 1 to 1000000/],
  ["--producers 0", /expected a whole number from 1 to 64/],
  ["--warmup 5", /expected a time such as/],
  ["--record-size 0", /expected a size from 1B to 64MiB/],
  ["--record-size 1.5", /expected a size from 1B to 64MiB/],
  ["--record-size 65MiB", /expected a size from 1B to 64MiB/],
  ["--header novalue", /expected NAME=VALUE, got "novalue"/],
  ["--header =value", /expected NAME=VALUE, got "=value"/],
  ["--payload-file f --payload-delimiter \\q", /"\\q" is not an escape sequence; use \\n, \\r, /],
  ["--payload-file f --payload-delimiter \\", /"\\" is not an escape sequence/],
  ["--payload-file f --payload-delimiter=", /expected at least one character/],
  ["--payload-file f --key-field a..b", /expected a path such as customer\.id/],
  ["--payload-delimiter ,", /^--payload-delimiter needs --payload-file/],
  ["--key-field id", /^--key-field needs --payload-file/],
  ["--payload-module m.ts --key-field id", /^--key-field needs --payload-file/],
  ["--payload-file f --payload-module m.ts", /--payload-file and --payload-module cannot be used/],
  ["--payload-file f --record-size 10", /--payload-file and --record-size cannot be used together/],
  ["--payload-module m --record-size 10", /--payload-module and --record-size cannot be used/],
  ["--payload-file f --bad 5", /^--bad is for orders, and cannot be used with --payload-file/],
  ["--record-size 10 --customers 5", /^--customers is for orders/],
  ["--record-size 10 --products 5", /^--products is for orders/],
  ["--payload-module m.ts --countries FR", /^--countries is for orders/],
  ["--payload-module m.ts --key customer", /^--key is for orders/],
  ["--record-size 10 --start-time 2026-01-31", /^--start-time is for orders/],
  ["--fail-if p99>200", /p99 needs a unit \(us, ms, s\)/],
];

for (const [args, message] of WRONG) {
  Deno.test(`producer rejects ${args}`, () => {
    assert.throws(() => parseProducerOptions(args.split(" ")), { message });
  });
}

Deno.test("producer's options are converted to the units that the program uses", () => {
  const options = parseProducerOptions(
    "--ramp 10:0s,10:2s --start-time 2026-01-31T08:00:00Z --countries US,FR --bad 2.5 --warmup 1m"
      .split(" "),
  );
  assert.equal(pacingOf(options).count, 20);
  assert.equal(options.startTime, Date.UTC(2026, 0, 31, 8));
  assert.deepEqual(options.countries, ["FR", "US"]);
  assert.equal(options.bad, 2.5);
  assert.ok(!options.badKinds.includes("oversize"));
  assert.equal(options.warmup, 60_000);
  assert.ok(Number.isSafeInteger(options.seed));
});

Deno.test("producer's payload options are converted to bytes", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const options = parseProducerOptions([
    ...[
      "--payload-file",
      "f",
      "--payload-delimiter",
      "a\\t\\x00\\\\\\r\\nä",
      "--key-field",
      "a[0]",
    ],
    ...["--header", "a=1", "--header", "a==b", "--header", "empty=", "--key", "none"],
    ...["--fail-if", "p99>1ms", "--fail-if", "rate<5/s"],
  ]);
  assert.deepEqual(new Uint8Array(options.payloadDelimiter), bytes("a\t\0\\\r\nä"));
  assert.deepEqual(options.keyField, ["a", 0]);
  assert.deepEqual(options.headers, [
    { key: "a", value: bytes("1") },
    { key: "a", value: bytes("=b") },
    { key: "empty", value: bytes("") },
  ]);
  assert.deepEqual(options.failIf.map(({ metric }) => metric), ["p99", "rate"]);
  const sizes = ["1", "100B", "1kB", "64KiB", "1.5MB"];
  assert.deepEqual(
    sizes.map((size) => parseProducerOptions(["--record-size", size]).recordSize),
    [1, 100, 1_000, 65_536, 1_500_000],
  );
});
