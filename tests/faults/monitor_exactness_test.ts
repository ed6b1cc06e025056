import assert from "node:assert/strict";
import { join } from "node:path";
import type { Program } from "../../dev/programs.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, type Site, until } from "../site.ts";
import {
  fill,
  say,
  scaled,
  stopTracker,
  TEST_TIMEOUT_MS,
  untilAllCommitted,
  withDeadline,
} from "./fault_site.ts";

const broker = await liveBroker();

const ROUND_RECORDS = scaled({ long: 250_000, short: 10_000 });
const BAD_PERCENT = 2;
/** About a sixth of the whole journal, so that there are at least three rotations. */
const ROTATE_BYTES = scaled({ long: 500_000_000, short: 20_000_000 });
const ROTATIONS_MIN = 3;
const MONITOR_INTERVAL = "200ms";
const CENTS = 100;
const TORN_BYTES = 500;
const NEWLINE = 0x0a;

interface PartitionCount {
  received: number;
  lastOffset: number;
}

/** Counts of the journal's files, made without the product's code: each line is parsed completely. */
class JournalCount {
  received = 0;
  failed = 0;
  readonly kinds: Record<string, number> = {};
  readonly partitions: Record<string, PartitionCount> = {};
  readonly statuses: Record<string, number> = {};
  readonly cents: Record<string, number> = {};

  static async of(logs: string): Promise<JournalCount> {
    const count = new JournalCount();
    for (const name of journalFiles(logs)) await count.#addFile(join(logs, name));
    return count;
  }

  async #addFile(path: string): Promise<void> {
    using file = await Deno.open(path);
    let rest = "";
    for await (const text of file.readable.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#add(JSON.parse(line));
    }
    assert.equal(rest, "", `${path} ends with a complete line`);
  }

  // deno-lint-ignore no-explicit-any -- a parsed line whose type is not known here
  #add(line: any): void {
    this.received++;
    const partition = this.partitions[line.kafka_partition] ??= { received: 0, lastOffset: -1 };
    partition.received++;
    partition.lastOffset = line.kafka_offset;
    if (line.event_type !== "message.received") {
      this.failed++;
      const kind = line.event_type.split(".").at(-1).replace("_error", "");
      this.kinds[kind] = (this.kinds[kind] ?? 0) + 1;
      return;
    }
    const { status, currency, total } = line.order_full;
    this.statuses[status] = (this.statuses[status] ?? 0) + 1;
    this.cents[currency] = (this.cents[currency] ?? 0) + Math.round(total * CENTS);
  }
}

/** Returns closed segments by number, then the active one. */
function journalFiles(logs: string): readonly string[] {
  const names = Array.from(Deno.readDirSync(logs), ({ name }) => name)
    .filter((name) => name.startsWith("tracker.events"));
  const closed = names.filter((name) => name !== "tracker.events").sort();
  return [...closed, "tracker.events"];
}

/** Returns the figures of a monitor's JSON that {@link JournalCount} also has. */
function figuresOf(json: string) {
  const { received, failed, errors_by_kind, partitions, orders_by_status, revenue } = JSON.parse(
    json,
  );
  return {
    received,
    failed,
    kinds: errors_by_kind,
    partitions: Object.fromEntries(
      partitions.map((each: { partition: number; received: number; last_offset: number }) => [
        each.partition,
        { received: each.received, lastOffset: each.last_offset },
      ]),
    ),
    statuses: orders_by_status,
    cents: Object.fromEntries(
      revenue.map((each: { currency: string; total: number }) => [
        each.currency,
        Math.round(each.total * CENTS),
      ]),
    ),
  };
}

/** Returns the monitor's last complete line of JSON, or undefined before its first. */
function lastSnapshot({ output }: Program): string | undefined {
  return output.stdout.split("\n").slice(0, -1).at(-1);
}

async function untilMonitored(monitor: Program, received: number): Promise<void> {
  await until(
    `the monitor has counted ${received}`,
    () => JSON.parse(lastSnapshot(monitor) ?? "{}").received === received,
    TEST_TIMEOUT_MS,
  ).catch((error) => {
    throw new Error(`${error.message}; last output: ${lastSnapshot(monitor)?.slice(0, 200)}`);
  });
}

async function startTracker(site: Site): Promise<Program> {
  return await site.start("tracker", [
    ...["--rotate", `${ROTATE_BYTES / 1_000}kB`],
    ...["--quiet", "--log-level", "info"], // no line per order, but the start is logged
  ]);
}

/** Copies the file to the closed segments' folder and truncates it, as logrotate's `copytruncate` does. */
function copyTruncate(logs: string): void {
  const live = join(logs, "tracker.events");
  const number = journalFiles(logs).length;
  Deno.copyFileSync(live, `${live}.${String(number).padStart(6, "0")}`);
  Deno.truncateSync(live, 0);
}

/** Appends half a line, as a write does whose process is killed. */
function tearLine(logs: string): void {
  const live = join(logs, "tracker.events");
  using file = Deno.openSync(live);
  const half = new Uint8Array(TORN_BYTES);
  assert.equal(file.readSync(half), TORN_BYTES);
  assert.ok(!half.includes(NEWLINE), "half a line");
  Deno.writeFileSync(live, half, { append: true });
}

/**
 * Goal: the monitor's totals match the journal's lines, whatever happens to the files while it runs.
 * Method: four rounds of orders (one in fifty bad, of every kind) go to a real tracker that rotates by size, with one
 * monitor from before the first line to after the last. Between the rounds are the two truncations that a tracker's
 * journal can undergo: an operator's copy-truncate under the running tracker, and the tracker's own cut of a torn
 * line after it was killed. The copy-truncate happens while the tracker is idle, because lines appended between copy
 * and truncation are lost to everyone.
 * Invariants: every figure of the monitor (totals, kinds of failures, offsets, revenue to the cent) equals the lines
 * of all files as parsed and counted by this test; the total equals the records acknowledged by the broker; a monitor
 * started afterwards reports the same.
 */
Deno.test("the monitor's totals match the journal through rotations, a copy-truncate, and the tracker's repair of a torn line", async () => {
  await using site = await createSite({ broker: broker.address });
  const monitor = await site.start("monitor", [
    ...["--logs", site.logs, "--json", "--interval", MONITOR_INTERVAL],
  ]);
  let tracker = await startTracker(site);
  let acknowledged = 0;
  const round = async () => {
    acknowledged += await fill(site, { count: ROUND_RECORDS, badPercent: BAD_PERCENT });
    await untilAllCommitted(site);
  };

  await round();
  copyTruncate(site.logs);
  await round();

  acknowledged += await fill(site, { count: ROUND_RECORDS, badPercent: BAD_PERCENT });
  tracker.signal("SIGKILL");
  await tracker.exitCode;
  tearLine(site.logs);
  await until(
    "the monitor has read the torn line",
    () => JSON.parse(lastSnapshot(monitor) ?? "{}").files.journal.held_bytes > 0,
    TEST_TIMEOUT_MS,
  );
  tracker = await startTracker(site);
  await untilAllCommitted(site);
  await round();
  await stopTracker(tracker);

  const counted = await JournalCount.of(site.logs);
  assert.equal(counted.received, acknowledged, "the journal has each acknowledged record once");
  await untilMonitored(monitor, counted.received);
  monitor.signal("SIGINT");
  const code = await withDeadline(monitor.exitCode, () => monitor.output.stderr);
  assert.equal(code, 0, monitor.output.stderr);

  const json = lastSnapshot(monitor) ?? "";
  assert.deepEqual(figuresOf(json), { ...counted });
  const { files: { journal }, unreadable_lines } = JSON.parse(json);
  assert.deepEqual(unreadable_lines, { journal: 0, log: 0 });
  assert.equal(journal.behind_bytes, 0);
  assert.equal(journal.truncations, 1, "the copy-truncate");
  assert.equal(journal.cuts, 1, "the tracker's repair");
  assert.ok(journal.rotations >= ROTATIONS_MIN, `${journal.rotations} rotations`);

  const { stdout } = await site.run("monitor", ["--logs", site.logs, "--once", "--json"]);
  assert.deepEqual(figuresOf(stdout), { ...counted });
  say(
    `${counted.received} lines, ${counted.failed} of them bad, in ${
      journalFiles(site.logs).length
    } files; seen: ${journal.rotations} rotations, 1 truncation, 1 cut`,
  );
});
