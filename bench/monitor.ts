/**
 * Measures how fast the monitor counts a large journal, compared with `wc -l`, `jq`, and `lnav` on the same file, and
 * the cost of following a growing journal.
 *
 *     deno task bench monitor
 *     deno task bench monitor --megabytes 300
 */

import { join } from "node:path";
import { argsOfTask } from "../dev/programs.ts";
import { createShop } from "../lib/shop/shop.ts";
import { printLine } from "../lib/terminal.ts";
import { withThousands } from "../lib/text.ts";
import { EventWriter } from "../lib/journal/line.ts";
import { amountOf } from "./amount.ts";
import { measure, type Measured } from "./measured_command.ts";
import { median, table, writeSection } from "./results.ts";

const ROUNDS = 3;
const CHUNK_LINES = 1_000;
const FOLLOW_SECONDS = 20;
const FOLLOWED_RATES = [100, 50_000];

export async function main(args: string[]): Promise<void> {
  const megabytes = amountOf(args, {
    benchmark: "monitor",
    description: "Counts a journal with several programs, and follows a growing one.",
    option: "megabytes",
    meaning: "size of the journal in MB",
    initial: 1_000,
  });
  const folder = await Deno.makeTempDir({ prefix: "orderflow-bench-" });
  try {
    const journal = join(folder, "tracker.events");
    const lines = writeJournal(journal, megabytes * 1_000_000);
    const counted = await countAll(folder, journal, lines);
    const followed: FollowedAt[] = [];
    for (const rate of FOLLOWED_RATES) followed.push(await follow(rate));
    const report = describe(counted, followed, { megabytes, lines });
    printLine(`\n${report}`);
    await writeSection("monitor", report);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Generates journal lines of the shop's orders in the tracker's format. */
class JournalLines {
  readonly #shop = createShop({ seed: 1 });
  readonly #encoder = new TextEncoder();
  #offset = 0;

  next(count: number): Uint8Array {
    const writer = new EventWriter();
    const receivedAt = new Date();
    for (let index = 0; index < count; index++) {
      const offset = this.#offset++;
      writer.write(
        {
          topic: "orders",
          partition: offset % 3,
          offset: Math.floor(offset / 3),
          key: null,
          value: this.#encoder.encode(JSON.stringify(this.#shop.nextOrder(receivedAt.getTime()))),
          headers: [],
          timestampMs: receivedAt.getTime(),
        },
        { eventType: "message.received", isText: true, deserialized: true },
        { receivedAt },
      );
    }
    return writer.lines;
  }
}

function writeJournal(path: string, bytes: number): number {
  printLine(`writing a journal of ${withThousands(bytes / 1e6)} MB`);
  const source = new JournalLines();
  using file = Deno.openSync(path, { write: true, create: true });
  let lines = 0;
  for (let written = 0; written < bytes; lines += CHUNK_LINES) {
    const chunk = source.next(CHUNK_LINES);
    for (let at = 0; at < chunk.length;) at += file.writeSync(chunk.subarray(at));
    written += chunk.length;
  }
  return lines;
}

interface Counter {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly linesOf: (stdout: string) => number;
}

async function countAll(
  folder: string,
  journal: string,
  lines: number,
): Promise<ReadonlyMap<string, readonly Measured[]>> {
  const counters: readonly Counter[] = [
    {
      name: "monitor --once --json",
      command: "sh",
      args: [
        // The monitor exits with 3, because the journal is more than a minute old by then.
        ...["-c", `"$@"; code=$?; [ $code = 3 ] || exit $code`, "sh"],
        ...[Deno.execPath(), ...await argsOfTask("monitor")],
        ...["--logs", folder, "--once", "--json"],
      ],
      linesOf: (stdout) => JSON.parse(stdout).received,
    },
    { name: "wc -l", command: "wc", args: ["-l", journal], linesOf: Number.parseInt },
    {
      name: "jq, counting offsets",
      command: "sh",
      args: ["-c", `jq .kafka_offset '${journal}' | wc -l`],
      linesOf: Number,
    },
    {
      name: "lnav -n, counting lines",
      command: "sh",
      args: ["-c", `lnav -n '${journal}' | wc -l`],
      linesOf: Number,
    },
  ];
  const results = new Map(counters.map(({ name }) => [name, [] as Measured[]]));
  for (let round = 1; round <= ROUNDS; round++) {
    for (const { name, command, args, linesOf } of counters) {
      const measured = await measure(command, args);
      const counted = linesOf(measured.stdout);
      if (counted !== lines) printLine(`${name} counted ${counted} of ${lines} lines`);
      results.get(name)?.push(measured);
      printLine(`round ${round}  ${name.padEnd(24)} ${measured.seconds.toFixed(2)} s`);
    }
  }
  return results;
}

interface FollowedAt {
  readonly rate: number;
  readonly written: number;
  readonly received: number;
  readonly corePercent: number;
}

/** Runs a monitor on a growing journal. It must have counted each line a second after it was written. */
async function follow(rate: number): Promise<FollowedAt> {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-bench-" });
  const path = join(folder, "tracker.events");
  const source = new JournalLines();
  using file = Deno.openSync(path, { write: true, create: true });
  // Generated in advance, so that only reading is measured.
  const chunk = source.next(Math.max(1, rate / 10));
  const monitor = new Deno.Command("/usr/bin/time", {
    args: [
      ...["-f", "%U %S", Deno.execPath(), ...await argsOfTask("monitor")],
      ...["--logs", folder, "--json", "--interval", "500ms"],
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = monitor.output();
  const beginMs = performance.now();
  let chunks = 0;
  while (performance.now() - beginMs < FOLLOW_SECONDS * 1_000) {
    for (let at = 0; at < chunk.length;) at += file.writeSync(chunk.subarray(at));
    chunks++;
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(0, beginMs + chunks * 100 - performance.now()))
    );
  }
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const seconds = (performance.now() - beginMs) / 1_000;
  await new Deno.Command("pkill", { args: ["-INT", "-P", String(monitor.pid)] }).output();
  const { stdout, stderr } = await output;
  await Deno.remove(folder, { recursive: true });
  const last = new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1) ?? "{}";
  const [user = 0, system = 0] = (new TextDecoder().decode(stderr).trimEnd().split("\n").at(-1) ??
    "").split(" ").map(Number);
  const followed = {
    rate,
    written: chunks * Math.max(1, rate / 10),
    received: JSON.parse(last).received as number,
    corePercent: 100 * (user + system) / seconds,
  };
  printLine(`followed at ${withThousands(rate)} lines/s: ${followed.corePercent.toFixed(1)} %`);
  return followed;
}

function describe(
  counted: ReadonlyMap<string, readonly Measured[]>,
  followed: readonly FollowedAt[],
  { megabytes, lines }: { megabytes: number; lines: number },
): string {
  const seconds = new Map([...counted].map(([name, rounds]) => [
    name,
    median(rounds.map((measured) => measured.seconds)),
  ]));
  const ours = seconds.get("monitor --once --json") ?? NaN;
  return [
    `## Counting a journal\n`,
    `${withThousands(megabytes)} MB, ${withThousands(lines)} lines of real orders, ${ROUNDS} ` +
    `rounds, medians. The monitor also computes totals, partitions, errors, revenue, products, and customers.\n`,
    table(
      ["", "seconds", "monitor's time / this", "CPU seconds", "peak MiB"],
      [...counted].map(([name, rounds]) => [
        name,
        (seconds.get(name) ?? NaN).toFixed(2),
        (ours / (seconds.get(name) ?? NaN)).toFixed(2),
        median(rounds.map(({ cpuSeconds }) => cpuSeconds)).toFixed(1),
        median(rounds.map(({ peakMiB }) => peakMiB)).toFixed(0),
      ]),
    ),
    `\nFollowing a journal that grows for ${FOLLOW_SECONDS} s, with \`--json --interval 500ms\`. The counted lines are ` +
    `those in the monitor's last output, at most a second after the last line:\n`,
    table(
      ["lines/s", "written", "counted", "% of a core, with start-up"],
      followed.map(({ rate, written, received, corePercent }) => [
        withThousands(rate),
        withThousands(written),
        withThousands(received),
        corePercent.toFixed(1),
      ]),
    ),
  ].join("\n");
}
