import assert from "node:assert/strict";
import { LatencyRecorder } from "../../lib/latency.ts";
import { Accounts } from "../../lib/producer/accounts.ts";
import type { Conclusion } from "../../lib/producer/conclusion.ts";
import { formatReport } from "../../lib/producer/html_report.ts";
import { commandLineOf } from "../../lib/producer/report.ts";
import type { SecondRow } from "../../lib/producer/series.ts";

const LATENCY = { p50: 1.5, p95: 3, p99: 12.25, p999: 20, max: 31 };
const HOSTILE = `</td><script src="http://example.com/x.js"></script>\u202e"'`;

function conclusion(changes: Partial<Conclusion> = {}): Conclusion {
  const summary = new Accounts({ seed: 7, startedAtMs: performance.now() }).summary();
  return {
    result: {
      ...summary,
      generated: 1_000,
      acknowledged: 1_000,
      planned: 1_000,
      latency_ms: LATENCY,
      latency_from_send_ms: LATENCY,
    },
    noun: "order",
    thresholdLines: [],
    problems: [],
    warnings: [],
    exitCode: 0,
    ...changes,
  };
}

function page(
  { points = [], ...changes }: Partial<Conclusion> & { readonly points?: readonly SecondRow[] },
): string {
  const latencies = { planned: new LatencyRecorder(), fromSend: new LatencyRecorder() };
  for (let index = 1; index <= 1_000; index++) {
    latencies.planned.record(index / 10);
    latencies.fromSend.record(index / 50);
  }
  return formatReport({
    conclusion: conclusion(changes),
    points,
    latencies,
    cluster: [["brokers", HOSTILE]],
    commandLine: HOSTILE,
    startedAtMs: Date.UTC(2026, 0, 31, 8),
  });
}

function points(count: number): readonly SecondRow[] {
  return Array.from({ length: count }, (_, index) => ({
    seconds: index + 1,
    planned: 50,
    generated: 50,
    acknowledged: index === 3 ? 0 : 50,
    notAcknowledged: 0,
    acknowledgedBytes: 65_000,
    inFlight: 3,
    latency: index === 3 ? null : LATENCY,
  }));
}

Deno.test("the report is a self-contained page without scripts, and its texts are escaped", () => {
  const html = page({ points: points(5), problems: [HOSTILE], exitCode: 1 });
  assert.match(html, /content="default-src 'none'; style-src 'unsafe-inline'"/);
  assert.doesNotMatch(html, /<script|<img|<link|<a |\son\w+=|url\(|@import|\u202e/);
  assert.doesNotMatch(html, /(src|href)="/);
});

Deno.test("the report shows each second's values in tooltips, and a gap for seconds without acknowledgements", () => {
  const html = page({ points: points(5) });
  assert.ok(html.includes(
    "<title>2.0 s: 50 orders/s acknowledged, 0.07 MB/s, 50 planned, 50 generated, 3 in flight</title>",
  ));
  assert.ok(html.includes("<title>2.0 s: p50 1.5 ms, p99 12.25 ms, max 31 ms</title>"));
  assert.ok(html.includes("<title>4.0 s: nothing was acknowledged</title>"));
  const [p50 = ""] = /(?<=class="line good" d=")[^"]+/.exec(html) ?? [];
  assert.equal(p50.split("M").length - 1, 2, `two lines around the gap: ${p50}`);
  assert.match(
    html,
    /<title>99\.\d+ %: 99\.\d+ ms from the planned time, 19\.\d+ ms from the send</,
  );
});

Deno.test("the report shows its verdict: passed, failed, or threshold crossed", () => {
  const verdict = (exitCode: number) =>
    /<h1>.*<span.*>(.*)<\/span><\/h1>/.exec(page({ exitCode }))?.[1];
  assert.deepEqual([0, 1, 3].map(verdict), ["PASSED", "FAILED", "THRESHOLD CROSSED"]);
});

Deno.test("a report of 600 points is at most 250 kB", () => {
  assert.ok(page({ points: points(600) }).length < 250_000);
});

Deno.test("the command line in the report can be pasted into a shell and hides header values", () => {
  assert.equal(
    commandLineOf([
      ...["--header", "authorization=Bearer s3cret=", "--header=b=s3cret", "--fail-if", "p99>5ms"],
      ...["--payload-file", "it's here.txt", "--header=x"],
    ]),
    "producer --header 'authorization=***' '--header=b=***' --fail-if 'p99>5ms' " +
      "--payload-file 'it'\\''s here.txt' --header=x",
  );
});
