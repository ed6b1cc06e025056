import assert from "node:assert/strict";
import { Accounts } from "../../lib/producer/accounts.ts";
import type { PlannedRecord } from "../../lib/producer/planned_record.ts";
import { ReportPoints } from "../../lib/producer/report_points.ts";
import { type SecondRow, SecondSeries, seriesLine } from "../../lib/producer/series.ts";

const RECORD: PlannedRecord = {
  orderId: "",
  sequence: 1,
  partition: 0,
  key: null,
  value: new Uint8Array(1_000),
  plannedAtMs: 0,
};
const LATENCY = { p50: 1, p95: 1, p99: 2, p999: 2, max: 3 };

function row(seconds: number, counts: Partial<SecondRow> = {}): SecondRow {
  return {
    seconds,
    planned: 10,
    generated: 10,
    acknowledged: 9,
    notAcknowledged: 1,
    acknowledgedBytes: 9_000,
    inFlight: 0,
    latency: LATENCY,
    ...counts,
  };
}

Deno.test("SecondSeries closes a last, partial second, and its rows add up to the accounts", () => {
  const startedAtMs = performance.now();
  const accounts = new Accounts({ seed: 0, startedAtMs });
  const rows: SecondRow[] = [];
  const series = new SecondSeries({
    accounts,
    startedAtMs,
    inFlight: () => 1,
    onRow: (row) => rows.push(row),
  });
  accounts.notePace({ planned: 5, behindMs: 0 });
  for (let index = 0; index < 4; index++) accounts.countGenerated();
  const report = {
    record: { ...RECORD, plannedAtMs: startedAtMs },
    outcome: {
      kind: "acknowledged",
      offset: 0,
      topicId: "t",
      sentAtMs: startedAtMs,
      answeredAtMs: startedAtMs + 25,
    },
  } as const;
  accounts.settle(report);
  series.add(report);
  const failed = { record: RECORD, outcome: { kind: "failed", reason: "" } } as const;
  accounts.settle(failed);
  series.add(failed);
  series.close();
  assert.equal(rows.length, 1);
  const { seconds: _, latency, ...counts } = rows[0] ?? row(0);
  assert.deepEqual(counts, {
    planned: 5,
    generated: 4,
    acknowledged: 1,
    notAcknowledged: 1,
    acknowledgedBytes: 1_000,
    inFlight: 1,
  });
  assert.equal(latency?.max, 25);
});

Deno.test("seriesLine() writes bytes as megabytes and leaves unknown figures empty", () => {
  assert.equal(seriesLine(row(1.0004)), "1.000,10,10,9,1,0.009000,0,1,2,3");
  const { planned: _, ...unplanned } = row(2, { latency: null });
  assert.equal(seriesLine(unplanned), "2.000,,10,9,1,0.009000,0,,,");
});

Deno.test("ReportPoints reduces a run of any length to at most 600 points, preserving sums and worst latencies", () => {
  for (const count of [1, 600, 601, 1_201, 5_000]) {
    const report = new ReportPoints();
    for (let second = 1; second <= count; second++) {
      report.add(row(second, { latency: { ...LATENCY, max: second }, inFlight: second }));
    }
    const { points } = report;
    assert.ok(points.length <= 600 && points.length >= Math.min(count, 300), `${points.length}`);
    const sum = (name: "planned" | "acknowledged" | "acknowledgedBytes") =>
      points.reduce((total, point) => total + (point[name] ?? 0), 0);
    assert.equal(sum("planned"), 10 * count);
    assert.equal(sum("acknowledged"), 9 * count);
    assert.equal(sum("acknowledgedBytes"), 9_000 * count);
    assert.equal(points.at(-1)?.seconds, count);
    assert.deepEqual(
      points.map(({ latency, seconds }) => latency?.max === seconds),
      points.map(() => true),
    );
    const spans = points.slice(0, -1).map(({ seconds }, index) =>
      seconds - (points[index - 1]?.seconds ?? 0)
    );
    assert.ok(new Set(spans).size <= 1, "all points cover the same number of seconds");
  }
});
