/**
 * Runs tracker and producer as users would, in two processes, and collects the data for the proof.
 */

import { delay } from "../../lib/async.ts";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import type { OffsetRange } from "../../lib/kafka/cluster_answers.ts";
import type { ProducerSummary } from "../../lib/producer/accounts.ts";
import { printable, withThousands } from "../../lib/text.ts";
import { verifyJournals } from "../../lib/verify/verify.ts";
import { type Program, startProgram } from "../programs.ts";
import { createTopics } from "../topics.ts";
import type { Proof } from "./proof.ts";
import type { DemoSite } from "./site.ts";
import type { DemoView } from "./view.ts";

export interface PipelineOptions {
  readonly site: DemoSite;
  /** Undefined: until the faults are over. */
  readonly orders: number | undefined;
  readonly rate: number | "max";
  /** Percentage of orders to corrupt; none by default. */
  readonly bad?: number;
  readonly view: DemoView;
  readonly trackerArgs?: readonly string[];
  /** Runs in parallel; the producer is stopped when it ends. */
  readonly meanwhile?: (programs: RunningPrograms) => Promise<void>;
  /** Ends the run early but cleanly. */
  readonly stop: AbortSignal;
}

export interface RunningPrograms {
  readonly producer: Program;
  readonly tracker: Program;
  /** Sends SIGKILL and waits for the end. */
  killTracker(): Promise<void>;
  startTracker(): Promise<void>;
  /** Resolves when more orders have been sent and journaled, or at a timeout. */
  untilFlowing(): Promise<void>;
}

/** Exit code of a program that got SIGTERM before it listened for signals: it had done nothing yet. */
const STOPPED_AT_START_EXIT_CODE = 128 + 15;
const POLL_MS = 250;
/** How long the tracker may take to journal the remaining records after the producer has ended. */
const CATCH_UP_TIMEOUT_MS = 120_000;
/** How long producer and tracker may take to start, or to continue after a fault. */
const FLOWING_TIMEOUT_MS = 60_000;
/** Tracker records shown in full; then only counts are shown. */
const TRACKER_RECORDS_MAX = 5;
/** Bad records shown in full. */
const TRACKER_BAD_RECORDS_MAX = 5;
/** Matches the first line of a record in the tracker's output; other lines belong to the previous one. */
const RECORD_LINE = /^(order|bad record|record) /;
const BAD_RECORD_LINE = /^bad record /;

/** @returns undefined if stopped before the first order: there is nothing to prove. */
export async function runPipeline(
  { site, orders, rate, bad = 0, view, trackerArgs = [], meanwhile, stop }: PipelineOptions,
): Promise<Proof | undefined> {
  const connection = { brokers: [site.broker], clientId: "orderflow-demo" };
  await using cluster = await ClusterClient.connect(connection, "probe");
  await createTopics(cluster, site);
  const before = await offsetsNow(cluster, site);

  const start = () => startTracker(site, { view, args: trackerArgs });
  let tracker = await start();
  const producer = await startProgram("producer", [
    ...["--broker", site.broker, "--topic", site.topic],
    ...(orders === undefined ? [] : ["--count", String(orders)]),
    ...(bad === 0 ? [] : ["--bad", String(bad)]),
    ...["--rate", String(rate), "--json", "--log-level", "warn"],
  ], { onLine: relay(view, "producer") });
  let isProducerTold = false;
  // Once, because a second signal would force it to exit.
  const stopProducer = () => {
    if (!isProducerTold) producer.signal("SIGTERM");
    isProducerTold = true;
  };
  stop.addEventListener("abort", stopProducer);
  if (stop.aborted) stopProducer();

  const progress = showProgress({ cluster, site, before, orders, view });
  await meanwhile?.({
    producer,
    get tracker() {
      return tracker;
    },
    async killTracker() {
      tracker.signal("SIGKILL");
      await tracker.exitCode;
    },
    async startTracker() {
      tracker = await start();
    },
    untilFlowing: () => progress.untilFlowing(stop),
  });
  if (meanwhile !== undefined) stopProducer();
  const producerExit = await producer.exitCode;
  stop.removeEventListener("abort", stopProducer);
  const after = await offsetsNow(cluster, site);
  const isCaughtUp = await progress.untilJournaled(after, tracker);
  if (isCaughtUp) await view.lookedAt();
  await view.close();
  tracker.signal("SIGTERM");
  const trackerExit = await tracker.exitCode;

  const ranges = rangesBetween(before.orders, after.orders);
  const summary = summaryOf(producer);
  const isUntouched = [...ranges.values()].every(({ start, end }) => start === end);
  const endedWell = (exitCode: number) =>
    exitCode === 0 || (stop.aborted && exitCode === STOPPED_AT_START_EXIT_CODE);
  if (stop.aborted && isUntouched && endedWell(producerExit) && !summary?.generated) {
    return undefined;
  }

  view.line("verify    comparing the topic with the journal");
  const verification = await verifyJournals({
    cluster,
    connection,
    topic: site.topic,
    directories: [site.logs],
    ranges,
  });
  const end = await offsetsNow(cluster, site);
  return {
    producer: summary,
    verification,
    deadLettered: sumOfHighs(end.deadLetters) - sumOfHighs(before.deadLetters),
    problems: [
      ...(producerExit === 0 ? [] : [`the producer ended with exit code ${producerExit}`]),
      ...(isCaughtUp ? [] : ["the tracker did not journal everything in time"]),
      ...(endedWell(trackerExit) ? [] : [`the tracker ended with exit code ${trackerExit}`]),
    ],
  };
}

async function startTracker(
  site: DemoSite,
  { view, args }: { readonly view: DemoView; readonly args: readonly string[] },
): Promise<Program> {
  let recordCount = 0;
  let badCount = 0;
  return await startProgram("tracker", [
    ...["--broker", site.broker, "--topic", site.topic, "--group", site.group],
    ...["--logs", site.logs, "--dead-letters", site.deadLetterTopic, "--log-level", "warn"],
    ...args,
  ], {
    onLine: (line, stream) => {
      if (stream === "stderr") view.line(`tracker   ${printable(line)}`);
      else if (!view.showsRecords) {
        if (RECORD_LINE.test(line)) recordCount++;
        if (BAD_RECORD_LINE.test(line)) badCount++;
        if (BAD_RECORD_LINE.test(line) && badCount <= TRACKER_BAD_RECORDS_MAX) {
          view.line(`tracker   ${printable(line)}`);
        } else if (recordCount <= TRACKER_RECORDS_MAX) view.line(`tracker   ${printable(line)}`);
      }
    },
  });
}

function relay(view: DemoView, name: string) {
  return (line: string, stream: "stdout" | "stderr"): void => {
    if (stream === "stderr") view.line(`${name.padEnd(10)}${printable(line)}`);
  };
}

interface DemoOffsets {
  readonly orders: readonly OffsetRange[];
  readonly deadLetters: readonly OffsetRange[];
}

async function offsetsNow(cluster: ClusterClient, site: DemoSite): Promise<DemoOffsets> {
  return {
    orders: await cluster.allOffsets(site.topic),
    deadLetters: await cluster.allOffsets(site.deadLetterTopic),
  };
}

function rangesBetween(
  before: readonly OffsetRange[],
  after: readonly OffsetRange[],
): ReadonlyMap<number, { start: number; end: number }> {
  return new Map(after.map(({ partition, high }) => {
    const start = before.find((range) => range.partition === partition)?.high ?? 0;
    return [partition, { start, end: high }];
  }));
}

function sumOfHighs(ranges: readonly OffsetRange[]): number {
  return ranges.reduce((sum, { high }) => sum + high, 0);
}

interface Progress {
  /** Resolves when more was sent and journaled after the call. */
  untilFlowing(stop: AbortSignal): Promise<void>;
  /** Resolves with true once the group has committed these offsets, or with false at a timeout. */
  untilJournaled(after: DemoOffsets, tracker: Program): Promise<boolean>;
}

function showProgress(
  { cluster, site, before, orders, view }: {
    cluster: ClusterClient;
    site: DemoSite;
    before: DemoOffsets;
    orders: number | undefined;
    view: DemoView;
  },
): Progress {
  let counts = { inTopic: 0, journaled: 0 };
  const countNow = async () => {
    // In this order, so that the journaled count never exceeds the sent count.
    const committed = await cluster.committedOffsets(site.group, site.topic);
    const { orders: ranges } = await offsetsNow(cluster, site);
    const journaled = ranges.map(({ partition }) => {
      const start = before.orders.find((range) => range.partition === partition)?.high ?? 0;
      const offset = committed.find((commit) => commit.partition === partition)?.offset ?? start;
      return { partition, count: Math.max(0, offset - start), offset };
    });
    counts = {
      inTopic: sumOfHighs(ranges) - sumOfHighs(before.orders),
      journaled: journaled.reduce((sum, { count }) => sum + count, 0),
    };
    show(counts);
    return journaled;
  };
  const show = ({ inTopic, journaled }: typeof counts) => {
    view.progress(
      `${withThousands(inTopic)}${orders === undefined ? "" : ` of ${withThousands(orders)}`} ` +
        "orders in the topic, " +
        `${withThousands(journaled)} journaled and committed`,
    );
  };
  let isPolling = true;
  const polling = (async () => {
    while (isPolling) {
      await countNow().catch(() => {}); // the programs report it if the broker is down
      await delay(POLL_MS);
    }
  })();
  return {
    async untilFlowing(stop) {
      const { inTopic, journaled } = counts;
      const deadline = Date.now() + FLOWING_TIMEOUT_MS;
      while (Date.now() < deadline && !stop.aborted) {
        if (counts.inTopic > inTopic && counts.journaled > journaled) return;
        await delay(POLL_MS);
      }
    },
    async untilJournaled(after, tracker) {
      isPolling = false;
      await polling;
      let trackerEnded = false;
      tracker.exitCode.then(() => trackerEnded = true);
      const deadline = Date.now() + CATCH_UP_TIMEOUT_MS;
      while (Date.now() < deadline && !trackerEnded) {
        const journaled = await countNow();
        const isDone = after.orders.every(({ partition, high }) =>
          (journaled.find((each) => each.partition === partition)?.offset ?? 0) >= high
        );
        if (isDone) return true;
        await delay(POLL_MS);
      }
      return false;
    },
  };
}

function summaryOf({ output }: Program): ProducerSummary | undefined {
  try {
    return JSON.parse(output.stdout) as ProducerSummary;
  } catch {
    return undefined;
  }
}
