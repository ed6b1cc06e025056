import assert from "node:assert/strict";
import { Accounts, type ProducerSummary } from "../../lib/producer/accounts.ts";
import {
  describeThreshold,
  judgeThresholds,
  parseThreshold,
} from "../../lib/producer/thresholds.ts";

const EMPTY = new Accounts({ seed: 0, startedAtMs: performance.now() }).summary();
const SUMMARY: ProducerSummary = {
  ...EMPTY,
  generated: 2_000,
  acknowledged: 1_990,
  failed: 10,
  rate: 950.5,
  latency_ms: { p50: 1, p95: 20, p99: 100, p999: 250, max: 1_500 },
  planned: 2_000,
  behind_ms_max: 1_200,
};

function judged(text: string, summary = SUMMARY) {
  const [threshold] = judgeThresholds([parseThreshold(text)], summary);
  assert.ok(threshold);
  return threshold;
}

Deno.test("parseThreshold() rejects an unknown metric and a missing or wrong unit, and names the right ones", () => {
  const wrong = {
    "p98>5ms": /there is no metric "p98"; use p50, p95, p99, p999, max, and behind/,
    "toString>5ms": /there is no metric/,
    "p99>200": /p99 needs a unit \(us, ms, s\)/,
    "behind>1": /behind needs a unit \(us, ms, s\)/,
    "rate<900": /rate needs a unit \(\/s\)/,
    "p99>200m": /p99 has no unit "m"/,
    "p99>1%": /p99 has no unit "%"/,
    "failed>1ms": /failed has no unit "ms" \(no unit, %\)/,
    "rate<5%": /rate has no unit "%"/,
    "p99": /expected METRIC, one of > >= < <=/,
    "p99=5ms": /expected METRIC/,
    "p99>-1ms": /expected METRIC/,
    "p99>>1ms": /expected METRIC/,
    ">1ms": /expected METRIC/,
    "p99>1ms,max>2ms": /has no unit "ms,max>2ms"/,
    "": /expected METRIC/,
  };
  for (const [text, message] of Object.entries(wrong)) {
    assert.throws(() => parseThreshold(text), { message }, text);
  }
});

Deno.test("judgeThresholds() compares in the unit of the condition, and the operator decides about equality", () => {
  const verdicts = {
    "p99>100ms": "ok",
    "p99>=100ms": "crossed",
    "p99>0.0999s": "crossed",
    "p99 > 100001us": "ok",
    "p50<1ms": "ok",
    "p50<=1000us": "crossed",
    "p95>19.9ms": "crossed",
    "p999>=0.25s": "crossed",
    "max>1.5s": "ok",
    "rate<950.5/s": "ok",
    "rate<951/s": "crossed",
    "failed>9": "crossed",
    "failed>10": "ok",
    "failed>=0.5%": "crossed",
    "failed>0.5%": "ok",
    "unknown>0": "ok",
    "unknown>=0": "crossed",
    "behind>1s": "crossed",
    "behind>1200ms": "ok",
  } as const;
  for (const [text, verdict] of Object.entries(verdicts)) {
    assert.equal(judged(text).verdict, verdict, text);
  }
});

Deno.test("a threshold without data is not met: no latency, no plan, nothing generated", () => {
  for (const text of ["p99>1ms", "max<5s", "behind>1s", "rate<1/s", "failed>0", "unknown>1%"]) {
    const threshold = judged(text, EMPTY);
    assert.deepEqual([threshold.value, threshold.verdict], [null, "no data"], text);
    assert.match(describeThreshold(threshold), /^fail if .* has NO DATA: /);
  }
});

Deno.test("describeThreshold() states both sides with their units", () => {
  const lines = ["p99>0.05s", "failed>=0.5%", "rate<900/s", "failed>10"];
  assert.deepEqual(lines.map((text) => describeThreshold(judged(text))), [
    "fail if p99>0.05s: p99 was 0.1 s: CROSSED",
    "fail if failed>=0.5%: failed was 0.5 %: CROSSED",
    "fail if rate<900/s: rate was 950.5/s: ok",
    "fail if failed>10: failed was 10: ok",
  ]);
});
