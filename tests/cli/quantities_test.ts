import assert from "node:assert/strict";
import { parseAge, parseDuration, parseMinutes, parseRamp, parseSize } from "../../lib/cli/cli.ts";
import { parseProducerOptions } from "../../lib/producer/options.ts";
import { trackCommand } from "../../lib/tracker/track_command.ts";

Deno.test("a duration longer than a timer can wait is rejected with the allowed range", () => {
  assert.equal(parseDuration("24d"), 24 * 86_400_000);
  assert.ok(parseDuration("24d") < 2 ** 31);
  assert.equal(parseDuration("1ms"), 1);
  assert.equal(parseMinutes("34560"), 34_560);
  for (const text of ["24.1d", "100d", "1000h", "0ms", "0.5ms", "9".repeat(400) + "h"]) {
    assert.throws(() => parseDuration(text), /such as 250ms, .*, from 1ms to 24d/, text);
  }
  assert.throws(() => parseMinutes("34561"), /above 0 and up to 34560/);
  assert.throws(() => parseRamp("10:1s,10:1000h"), /from 1ms to 24d/);
});

Deno.test("ages and sizes out of range are rejected with the allowed range", () => {
  assert.equal(parseAge("5200w"), 5_200 * 604_800_000);
  assert.throws(() => parseAge("5201w"), /from 1s to 5200w/);
  assert.throws(() => parseAge("0.5s"), /from 1s to 5200w/);
  assert.equal(parseSize("1000TB"), 1e15);
  assert.throws(() => parseSize("1001TB"), /from 1kB on and up to 1000TB/);
});

Deno.test("producer and tracker reject a time or size out of range as an invalid option", () => {
  const refused = (run: () => unknown, pattern: RegExp) =>
    assert.throws(
      run,
      (error: Error) => error.name === "CommanderError" && pattern.test(error.message),
    );
  for (const option of ["--duration", "--warmup"]) {
    refused(() => parseProducerOptions([option, "1000h"]), /from 1ms to 24d/);
  }
  const track = (...args: string[]) => trackCommand().parse(args, { from: "user" });
  refused(() => track("--keep", "99999999w"), /from 1s to 5200w/);
  refused(() => track("--rotate", "5000TB"), /up to 1000TB/);
});
