/**
 * A run on a cluster that is connected: from its first record to the accounts and the files that it leaves.
 */

import { createShop } from "../shop/shop.ts";
import type { KafkaConnection } from "../kafka/client.ts";
import type { Logger } from "../log.ts";
import { Accounts } from "./accounts.ts";
import { BadOrders } from "./bad_orders.ts";
import { openDelivery } from "./cluster_delivery.ts";
import { concludeRun, type Conclusion } from "./conclusion.ts";
import { ProducerDisplay } from "./display.ts";
import type { OpenedProducer } from "./open.ts";
import { pacingOf, type ProducerOptions } from "./options.ts";
import { openOutputs } from "./outputs.ts";
import { type NextRecord, orderRecords } from "./order_records.ts";
import { recordsFrom } from "./payload/own_records.ts";
import { nounOf } from "./payload/payload_options.ts";
import { PayloadError, type RecordSource } from "./payload/source.ts";
import { createReport } from "./report.ts";
import { OrderRouter } from "./routing.ts";
import { generateOrders } from "./run.ts";
import { SecondSeries } from "./series.ts";

const FLUSH_TIMEOUT_MS = 15_000;
const WINDOW_MS = 5_000;

export interface SessionOptions {
  /** The command line, as the report shows it. */
  readonly args: readonly string[];
  readonly options: ProducerOptions;
  readonly connection: KafkaConnection;
  readonly opened: OpenedProducer;
  /** The user's own records; undefined for orders. */
  readonly source: RecordSource | undefined;
  readonly log: Logger;
  /** Ends the run when it is aborted; records under way are still waited for. */
  readonly stop: AbortSignal;
  /** Called with the accounts before the first record. */
  readonly onStart: (accounts: Accounts) => void;
}

/** @throws {Error} where an output file cannot be written: before anything is sent. */
export async function runSession(
  { args, options, connection, opened, source, log, stop, onStart }: SessionOptions,
): Promise<Conclusion> {
  const outputs = openOutputs(options, log);
  const router = new OrderRouter(options.key, opened.found.partitionCount);
  const nextRecord = source === undefined
    ? shopOrders(options, { router, oversizeBytes: opened.messageBytesMax })
    : recordsFrom(source, (record) => router.partitionOf(record));

  const startedAtMs = performance.now();
  const accounts = createAccounts(options, startedAtMs);
  onStart(accounts);
  const report = createReport({ args, options, connection, opened, accounts });
  const noun = nounOf(options);
  using display = options.quiet
    ? undefined
    : new ProducerDisplay({ ...options, accounts, noun, isProgressOnly: options.json });
  const windowTimer = setInterval(() => {
    const window = accounts.closeWindow();
    display?.showWindow(window);
  }, WINDOW_MS);
  using deliveries = openDelivery({
    connection,
    options,
    opened,
    router,
    accounts,
    onReport(report) {
      accounts.settle(report);
      outputs.add(report);
      series?.add(report);
      display?.show(report);
    },
  });
  const { delivery } = deliveries;
  const series = options.series === undefined && options.report === undefined
    ? undefined
    : new SecondSeries({
      accounts,
      startedAtMs,
      inFlight: () => delivery.unsettledCount,
      onRow(row) {
        outputs.addRow(row);
        report.addRow(row);
      },
    });

  const payloadError = await generateOrders({
    nextRecord,
    pacing: pacingOf(options),
    delivery,
    accounts,
    startedAtMs,
    ...(options.startTime !== undefined && { orderTimeMs: options.startTime }),
    ...(options.count !== undefined && { count: options.count }),
    ...(options.duration !== undefined && { durationMs: options.duration }),
    bufferCount: options.buffer,
    stop,
  }).then(() => undefined, payloadErrorOf);
  const isFlushed = await delivery.flush(FLUSH_TIMEOUT_MS);
  if (!isFlushed) delivery.abandon(`no answer within ${FLUSH_TIMEOUT_MS / 1_000} s of the end`);
  clearInterval(windowTimer);
  series?.close();
  accounts.closeLastWindow();
  accounts.noteThrottled(opened.throttling.throttledMs);
  accounts.noteTopic(delivery.topicId);

  const { undeliveredPath } = outputs;
  const end = { options, accounts, source, undeliveredPath, payloadError };
  const shortfalls = [...outputs.close(accounts)];
  shortfalls.push(...outputs.writeReport(() => report.page(concludeRun({ ...end, shortfalls }))));
  if (isFlushed) await opened.producers.close();
  return concludeRun({ ...end, shortfalls });
}

function shopOrders(
  options: ProducerOptions,
  { router, oversizeBytes }: { readonly router: OrderRouter; readonly oversizeBytes: number },
): NextRecord {
  const { bad: percent, badKinds: kinds, seed } = options;
  return orderRecords({
    shop: createShop(options),
    route: (order) => router.route(order),
    ...(percent !== undefined && {
      badOrders: new BadOrders({ percent, kinds, seed, oversizeBytes }),
    }),
  });
}

export function createAccounts(
  { seed, bad, warmup }: ProducerOptions,
  startedAtMs = performance.now(),
): Accounts {
  return new Accounts({
    seed,
    startedAtMs,
    isSpoiling: bad !== undefined,
    ...(warmup !== undefined && { warmupMs: warmup }),
  });
}

/** A run whose records end too early is still accounted for. */
function payloadErrorOf(error: unknown): PayloadError {
  if (error instanceof PayloadError) return error;
  throw error;
}
