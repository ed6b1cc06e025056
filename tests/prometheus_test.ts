import assert from "node:assert/strict";
import {
  DURATION_BOUNDARIES,
  DurationHistogram,
  formatMetrics,
  single,
} from "../lib/prometheus.ts";

Deno.test("formatMetrics() writes help, type, and samples, with escaped label values and help", () => {
  const text = formatMetrics([
    single("counter", "a_total", { help: "A \\ and\na line.", value: 3 }),
    {
      name: "b",
      type: "gauge",
      help: "B.",
      samples: [
        { labels: { topic: 'a"b\\c\nd', partition: 0 }, value: 0 },
        { labels: { topic: "\ud800{},=é" }, value: 1.5 },
      ],
    },
  ]);
  assert.equal(
    text,
    "# HELP a_total A \\\\ and\\na line.\n# TYPE a_total counter\na_total 3\n" +
      '# HELP b B.\n# TYPE b gauge\nb{topic="a\\"b\\\\c\\nd",partition="0"} 0\n' +
      'b{topic="\ufffd{},=é"} 1.5\n',
  );
});

Deno.test("formatMetrics() omits unknown values, and writes 0 and infinities", () => {
  const samples = [{ labels: { p: 0 }, value: undefined }, { labels: { p: 1 }, value: 0 }];
  assert.equal(
    formatMetrics([
      single("gauge", "unknown", { help: "U.", value: undefined }),
      { name: "known", type: "gauge", help: "K.", samples },
      single("gauge", "high", { help: "H.", value: Infinity }),
      single("gauge", "low", { help: "L.", value: -Infinity }),
    ]).replace(/^#.*\n/gm, ""),
    'known{p="1"} 0\nhigh +Inf\nlow -Inf\n',
  );
});

Deno.test("DurationHistogram counts each duration in its bucket and all higher ones, bounds included", () => {
  const histogram = new DurationHistogram();
  for (const durationMs of [-5, 1, 1.5, 60_000, 60_001, 86_400_000]) histogram.record(durationMs);
  const { samples, type } = histogram.family("latency_seconds", "L.");
  assert.equal(type, "histogram");
  const buckets = samples.filter(({ suffix }) => suffix === "_bucket");
  assert.deepEqual(
    buckets.map(({ labels }) => labels?.["le"]),
    [...DURATION_BOUNDARIES.map(String), "+Inf"],
  );
  const counts = buckets.map(({ value }) => value);
  assert.deepEqual(counts, [2, ...DURATION_BOUNDARIES.slice(1, -1).map(() => 3), 4, 6]);
  assert.deepEqual(samples.slice(-2).map(({ suffix, value }) => [suffix, value]), [
    ["_sum", 0.001 + 0.0015 + 60 + 60.001 + 86_400],
    ["_count", 6],
  ]);
});
