/**
 * Measures how fast `tracker search` finds records, compared with `grep -F` on the same files in the same round.
 *
 *     deno task bench search
 *     deno task bench search --megabytes 300
 */

import { join } from "node:path";
import { argsOfTask } from "../dev/programs.ts";
import { recordTimesOf } from "../lib/journal/account.ts";
import { openJournal } from "../lib/journal/open_journal.ts";
import type { KafkaRecord } from "../lib/record.ts";
import { createShop } from "../lib/shop/shop.ts";
import { printLine } from "../lib/terminal.ts";
import { withThousands } from "../lib/text.ts";
import { encodeRecords } from "../lib/tracker/encode.ts";
import { freshList } from "../lib/tracker/fresh_records.ts";
import { amountOf } from "./amount.ts";
import { measure, type Measured } from "./measured_command.ts";
import { median, table, writeSection } from "./results.ts";

const ROUNDS = 3;
const BATCH_RECORDS = 1_000;
const SEGMENT_BYTES = 128_000_000;
const TOPIC_ID = "0123456789abcdef0123456789abcdef";
const STARTED_MS = Date.UTC(2026, 0, 1);

export async function main(args: string[]): Promise<void> {
  const megabytes = amountOf(args, {
    benchmark: "search",
    description: "Searches a journal with several queries, and with grep.",
    option: "megabytes",
    meaning: "size of the journal in MB",
    initial: 1_000,
  });
  const folder = await Deno.makeTempDir({ prefix: "orderflow-bench-" });
  try {
    const compressed = join(folder, "compressed");
    const plain = join(folder, "plain");
    await writeJournal(plain, megabytes * 1_000_000, { compress: false });
    const last = await writeJournal(compressed, megabytes * 1_000_000, { compress: true });
    const results = await searchAll({ plain, compressed, last });
    const report = describe(results, { megabytes, lines: last.count });
    printLine(`\n${report}`);
    await writeSection("search", report);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Last {
  readonly orderId: string;
  readonly offset: number;
  readonly timestampMs: number;
  readonly count: number;
}

/** Writes orders of the shop, 10 ms apart, with the real journal. Returns the last one. */
async function writeJournal(
  directory: string,
  bytes: number,
  { compress }: { readonly compress: boolean },
): Promise<Last> {
  printLine(`writing a journal of ${withThousands(bytes / 1e6)} MB`);
  const shop = createShop({ seed: 1 });
  const encoder = new TextEncoder();
  let open = 0;
  const journal = await openJournal({
    directory,
    rotateBytes: SEGMENT_BYTES,
    compress,
    onNotice: ({ kind }) => {
      if (kind === "rotated") open++;
      if (kind === (compress ? "compressed" : "sealed")) open--;
    },
  });
  let offset = 0;
  let orderId = "";
  for (let written = 0; written < bytes;) {
    const records = Array.from({ length: BATCH_RECORDS }, (): KafkaRecord => {
      const timestampMs = STARTED_MS + offset * 10;
      const order = shop.nextOrder(timestampMs);
      orderId = order.order_id;
      return {
        topic: "orders",
        partition: 0,
        offset: offset++,
        key: encoder.encode(order.customer_info.customer_id),
        value: encoder.encode(JSON.stringify(order)),
        headers: [],
        timestampMs,
        leaderEpoch: 0,
      };
    });
    const encoded = await encodeRecords(freshList(records, { topic: "orders", partition: 0 }), {
      schema: "order",
      receivedAt: new Date(STARTED_MS + offset * 10),
      topicId: TOPIC_ID,
    });
    await journal.append({
      topic: "orders",
      topicId: TOPIC_ID,
      partition: 0,
      intervals: [{ start: offset - BATCH_RECORDS, end: offset }],
      epochs: [{ epoch: 0, start: offset - BATCH_RECORDS }],
      recordTimes: recordTimesOf(encoded.timestampsMs),
      lines: encoded.lines,
      lineEnds: encoded.lineEnds,
    });
    written += encoded.lines.length;
  }
  while (open > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  await journal.close();
  return {
    orderId,
    offset: offset - 1,
    timestampMs: STARTED_MS + (offset - 1) * 10,
    count: offset,
  };
}

interface Contender {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

async function searchAll(
  { plain, compressed, last }: {
    readonly plain: string;
    readonly compressed: string;
    readonly last: Last;
  },
): Promise<ReadonlyMap<string, readonly Measured[]>> {
  const { orderId, offset, timestampMs } = last;
  const tracker = [Deno.execPath(), ...await argsOfTask("tracker")];
  const searchBy = (name: string, logs: string, ...criteria: readonly string[]): Contender => ({
    name,
    command: tracker[0] ?? "",
    args: [...tracker.slice(1), "search", "--logs", logs, ...criteria],
  });
  const since = new Date(timestampMs - 90).toISOString();
  const contenders: readonly Contender[] = [
    {
      name: "grep -F, an id",
      command: "sh",
      args: ["-c", `grep -hF ${orderId} '${plain}'/tracker.events*`],
    },
    searchBy("search TEXT, an id", plain, orderId),
    searchBy("search --order-id", plain, "--order-id", orderId),
    searchBy(
      "search --where, a text",
      plain,
      "--where",
      'items[*].item_id == "ITEM-00499"',
      "--count",
    ),
    searchBy("search --offset", plain, "--offset", `0:${offset}`),
    searchBy("search --since, the last ten", plain, "--since", since),
    searchBy("search --order-id, archives", compressed, "--order-id", orderId),
    searchBy("search --offset, archives", compressed, "--offset", "0:1000"),
    searchBy("start-up only (--help)", plain, "--help"),
  ];
  const results = new Map(contenders.map(({ name }) => [name, [] as Measured[]]));
  for (let round = 1; round <= ROUNDS; round++) {
    for (const { name, command, args } of contenders) {
      // Exit code 1 means that nothing was found.
      const accepting = ["-c", `"$@"; code=$?; [ $code -le 1 ]`, "sh", command, ...args];
      const measured = await measure("sh", accepting);
      results.get(name)?.push(measured);
      printLine(`round ${round}  ${name.padEnd(36)} ${measured.seconds.toFixed(2)} s`);
    }
  }
  return results;
}

function describe(
  results: ReadonlyMap<string, readonly Measured[]>,
  { megabytes, lines }: { readonly megabytes: number; readonly lines: number },
): string {
  const medianOf = (name: string, figure: (measured: Measured) => number) =>
    median((results.get(name) ?? []).map(figure));
  const start = medianOf("start-up only (--help)", ({ cpuSeconds }) => cpuSeconds);
  const grep = medianOf("grep -F, an id", ({ cpuSeconds }) => cpuSeconds);
  const rows = [...results.keys()].map((name) => {
    const cpuSeconds = medianOf(name, (each) => each.cpuSeconds);
    return [
      name,
      medianOf(name, ({ seconds }) => seconds).toFixed(2),
      cpuSeconds.toFixed(2),
      name.startsWith("search") ? ((cpuSeconds - start) / grep).toFixed(1) : "",
      medianOf(name, ({ peakMiB }) => peakMiB).toFixed(0),
    ];
  });
  return [
    "## Searching a journal",
    "",
    `${withThousands(megabytes)} MB, ${
      withThousands(lines)
    } lines of real orders in segments of 128 MB, ${ROUNDS} rounds, ` +
    "medians, warm file cache. The id is that of the last order. The ratio is of CPU seconds without the start-up, " +
    "because other programs on the machine affect CPU time the least.",
    "",
    table(["", "seconds", "CPU seconds", "ratio to grep", "peak MiB"], rows),
  ].join("\n");
}
