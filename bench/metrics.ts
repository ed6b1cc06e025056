/**
 * Measures the CPU time that `/metrics` and the live page cost a program. Other programs on the machine affect CPU time
 * the least.
 *
 *     deno task bench metrics
 */

import { join } from "node:path";
import { cpuUsage } from "node:process";
import { FolderMonitor } from "../lib/monitor/figures.ts";
import { Follower } from "../lib/monitor/follow.ts";
import { formatWebFigures } from "../lib/monitor/views/web_view.ts";
import { DurationHistogram } from "../lib/prometheus.ts";
import { createShop } from "../lib/shop/shop.ts";
import { printLine } from "../lib/terminal.ts";
import { withThousands } from "../lib/text.ts";
import { encodeRecords } from "../lib/tracker/encode.ts";
import { freshList } from "../lib/tracker/fresh_records.ts";
import { Metrics } from "../lib/tracker/metrics.ts";
import { trackerMetrics } from "../lib/tracker/prometheus_metrics.ts";
import type { TrackerReport } from "../lib/tracker_status.ts";
import { amountOf } from "./amount.ts";
import { median, table, writeSection } from "./results.ts";

const ROUNDS = 5;
const RECORDED = 2_000_000;
const PARTITION_COUNTS = [3, 1_000, 10_000];
const PAGE_PARTITIONS = 12;

export async function main(args: string[]): Promise<void> {
  const orders = amountOf(args, {
    benchmark: "metrics",
    description: "Measures what a scrape, and a poll of the live page, cost.",
    option: "orders",
    meaning: "orders in the journal that the page shows",
    initial: 100_000,
  });
  const report = `## Metrics and the live page

Medians of ${ROUNDS} rounds; the live page shows a journal of ${
    withThousands(orders)
  } orders on ${PAGE_PARTITIONS} partitions.

${
    table(["", "CPU ms", "bytes"], [
      ["recording a million latencies", fixed(recordMs() * 1e6 / RECORDED), ""],
      ...PARTITION_COUNTS.map(scrapeRow),
      await pageRow(orders),
    ])
  }`;
  printLine(`\n${report}`);
  await writeSection("metrics", report);
}

/** Returns the CPU time of some work, in milliseconds. */
function cpuMs(work: () => void): number {
  const times = Array.from({ length: ROUNDS + 1 }, () => {
    const before = cpuUsage();
    work();
    const { user, system } = cpuUsage(before);
    return (user + system) / 1_000;
  });
  return median(times.slice(1)); // the first run includes compilation
}

function fixed(ms: number): string {
  return ms.toFixed(ms < 10 ? 2 : 0);
}

function recordMs(): number {
  const histogram = new DurationHistogram();
  return cpuMs(() => {
    for (let count = 0; count < RECORDED; count++) histogram.record(count % 300);
  });
}

function scrapeRow(count: number): readonly string[] {
  const report: TrackerReport = {
    state: "consuming",
    ready: true,
    partitions: Array.from({ length: count }, (_, partition) => ({
      partition,
      position: 123_456_789,
      committed: 123_456_789,
      lag: 1_234,
    })),
    unassigned: [],
    open_transactions: [],
    latency_ms: null,
    counters: { received: 9, processed: 9, failed: 0, dead_lettered: 0, already_journaled: 0 },
  };
  const metrics = new Metrics();
  const scrape = () =>
    trackerMetrics({ topic: "orders", groupId: "group", report, metrics, journalBytes: 1e9 });
  return [
    `a scrape of ${withThousands(count)} partitions`,
    fixed(cpuMs(scrape)),
    withThousands(scrape().length),
  ];
}

async function pageRow(orders: number): Promise<readonly string[]> {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-bench-" });
  try {
    await writeJournal(folder, orders);
    using follower = new Follower(folder);
    await follower.catchUp();
    const poll = () => formatWebFigures(follower.snapshot(), { folder });
    using whole = new FolderMonitor(folder);
    if ((await whole.look()).received !== orders) throw new Error("the journal is not whole");
    return ["a poll of the live page", fixed(cpuMs(poll)), withThousands(poll().length)];
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function writeJournal(folder: string, orders: number): Promise<void> {
  const shop = createShop({ seed: 1 });
  const encoder = new TextEncoder();
  const nowMs = Date.now();
  const records = Array.from({ length: orders }, (_, index) => ({
    topic: "orders",
    partition: index % PAGE_PARTITIONS,
    offset: Math.floor(index / PAGE_PARTITIONS),
    key: encoder.encode("key"),
    value: encoder.encode(JSON.stringify(shop.nextOrder(nowMs))),
    headers: [],
    timestampMs: nowMs,
  }));
  const context = { receivedAt: new Date(nowMs), schema: "order" } as const;
  const ofPartitions = Map.groupBy(records, ({ partition }) => partition);
  for (const [partition, own] of ofPartitions) {
    const { lines } = await encodeRecords(freshList(own, { topic: "orders", partition }), context);
    await Deno.writeFile(join(folder, "tracker.events"), lines, { append: true });
  }
}
