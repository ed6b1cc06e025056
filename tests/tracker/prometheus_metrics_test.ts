import assert from "node:assert/strict";
import { FAILURE_REASONS } from "../../lib/tracker/failures.ts";
import { Metrics } from "../../lib/tracker/metrics.ts";
import { startingMetrics, trackerMetrics } from "../../lib/tracker/prometheus_metrics.ts";
import type { TrackerReport } from "../../lib/tracker_status.ts";

const REPORT: TrackerReport = {
  state: "blocked",
  ready: false,
  reason: 'orders[1] cannot be read: "<x>"',
  partitions: [
    { partition: 0, position: 7, committed: 0, lag: 0 },
    { partition: 1, position: null, committed: null, lag: null, reason: "jane@example.org" },
  ],
  unassigned: null,
  open_transactions: [],
  blocked_partitions: [1],
  latency_ms: null,
  counters: { received: 7, processed: 5, failed: 2, dead_lettered: 2, already_journaled: 0 },
};

function metricsOf(report: TrackerReport): string {
  const metrics = new Metrics();
  const failed = [{ failure: { reason: "VALIDATION" } }] as const;
  metrics.countJournaled({ received: 7, failed });
  metrics.countUnhandled([{ failure: { reason: "TIMEOUT" } }]);
  return trackerMetrics({ topic: 'a"b', groupId: "g", report, metrics, journalBytes: undefined });
}

Deno.test("trackerMetrics() omits unknown values: lag, position, unassigned partitions, the journal's size", () => {
  const text = metricsOf(REPORT);
  const partition = (name: string) =>
    text.match(new RegExp(`^orderflow_tracker_${name}\\{.*`, "gm")) ?? [];
  const first = '{topic="a\\"b",partition="0"}';
  assert.deepEqual(partition("lag_records"), [`orderflow_tracker_lag_records${first} 0`]);
  assert.deepEqual(partition("position_offset"), [`orderflow_tracker_position_offset${first} 7`]);
  assert.deepEqual(partition("committed_offset"), [`orderflow_tracker_committed_offset${first} 0`]);
  assert.doesNotMatch(text, /unassigned|journal_bytes/);
  assert.doesNotMatch(text, /NaN|null|undefined/);
  assert.match(metricsOf({ ...REPORT, unassigned: [2, 3] }), /^\w+_unassigned_partitions 2$/m);
});

Deno.test("trackerMetrics() reports blocked partitions, and failures by each reason of the contract", () => {
  const text = metricsOf(REPORT);
  assert.match(text, /^orderflow_tracker_blocked_partitions 1$/m);
  assert.match(text, /^orderflow_tracker_partition_blocked\{topic="a\\"b",partition="0"\} 0$/m);
  assert.match(text, /^orderflow_tracker_partition_blocked\{topic="a\\"b",partition="1"\} 1$/m);
  assert.match(text, /^orderflow_tracker_state\{state="blocked"\} 1$/m);
  const countedOnce = ["VALIDATION", "TIMEOUT"];
  assert.deepEqual(
    text.match(/(?<=^orderflow_tracker_failures_total\{reason=").*/gm),
    FAILURE_REASONS.map((reason) => `${reason}"} ${countedOnce.includes(reason) ? 1 : 0}`),
  );
  assert.doesNotMatch(
    text,
    /<x>|example/,
    "reasons may contain foreign text, so they are no labels",
  );
});

Deno.test("startingMetrics() has no counters, because nothing has been counted yet", () => {
  const text = startingMetrics();
  assert.match(text, /^orderflow_tracker_ready 0$/m);
  assert.match(text, /^orderflow_tracker_state\{state="starting"\} 1$/m);
  assert.match(text, /^orderflow_tracker_build_info\{/m);
  assert.doesNotMatch(text, /_total|_bytes|partition/);
});
