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
  ["--compression snappy", /its codec is not built in: use gzip or none/],
  ["--compression lz4", /its codec is not built in: use gzip or none/],
  ["--compression zstd", /its codec is not built in: use gzip or none/],
  ["--compression brotli", /expected gzip or none/],
  ["--buffer 0", /expected a whole number from 1 to 1000000/],
  ["--producers 0", /expected a whole number from 1 to 64/],
  ["--warmup 5", /expected a time such as/],
];

for (const [args, message] of WRONG) {
  Deno.test(`producer ${args} is refused`, () => {
    assert.throws(() => parseProducerOptions(args.split(" ")), { message });
  });
}

Deno.test("producer's options come out in the units that the program works in", () => {
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
