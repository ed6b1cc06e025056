/**
 * Opens all that a tracker needs, in order, and closes it in reverse: the log, the cluster, the topics,
 * the journal, the dead letters.
 */

import { join } from "node:path";
import type { KafkaConnection } from "../kafka/client.ts";
import { ClusterClient } from "../kafka/cluster.ts";
import { GroupConsumer } from "../kafka/consumer/group_consumer.ts";
import { PartitionLogs } from "../kafka/partition_logs.ts";
import { ReliableProducer } from "../kafka/producer.ts";
import type { KafkaRecord } from "../record.ts";
import { type Logger, loggerOf, type LogLevelName, startLog } from "../log.ts";
import {
  type DeadLetterTopic,
  ensureDeadLetterTopic,
  findDeadLetterTopic,
} from "./dead_letter_topic.ts";
import { DeadLetters } from "./dead_letters.ts";
import { type EndOfTopic, reachedEnd, type UndecidedRecords } from "./end_of_topic.ts";
import type { OrderHandler, RetryPolicy } from "./handler.ts";
import { journalBytes } from "../journal/disk_usage.ts";
import type { Journal } from "../journal/journal.ts";
import { openJournal } from "../journal/open_journal.ts";
import type { JournalNotice } from "../journal/notice.ts";
import { logJournalNotice } from "./journal_notices.ts";
import { LineThread } from "../kernel/line_thread.ts";
import { MemberFile } from "./member_file.ts";
import { Metrics, type TrackerCounts } from "./metrics.ts";
import { trackerMetrics } from "./prometheus_metrics.ts";
import { StatusFile } from "./status_file.ts";
import { Tracker } from "./tracker.ts";

/** Options of a tracker: its topic, its folder, and its listeners. */
export interface OpenTrackerOptions {
  /** The way to the cluster. */
  readonly connection: KafkaConnection;
  /** The topic to journal. */
  readonly topic: string;
  /**
   * Whether a topic that is missing is created, with three partitions. By default that is an error, since the name may
   * be wrong.
   */
  readonly createTopics?: boolean | undefined;
  /** The consumer group. */
  readonly groupId: string;
  /** Folder of the journal and the log; one tracker at a time. */
  readonly logs: string;
  /** A segment of the journal is closed before it would grow beyond this; undefined: never. */
  readonly rotateBytes?: number | undefined;
  /** True to compress closed segments in the background. */
  readonly compress?: boolean | undefined;
  /** Closed segments older than this are removed, their records held on; undefined: never. */
  readonly keepMs?: number | undefined;
  /** Where a group begins that has no committed offsets. */
  readonly from: "earliest" | "latest";
  /** Undefined where bad records are only journaled. */
  readonly deadLetterTopic: string | undefined;
  /** True if log lines may quote values of records. Default: false. */
  readonly logValues?: boolean;
  /** The least that is logged. */
  readonly logLevel: LogLevelName;
  /** True if the caller reports dead letters itself; their log lines then go to `tracker.log` only. Default: false. */
  readonly showsDeadLetters?: boolean;
  /** `none` journals a topic that holds no orders, and finds no fault with it. */
  readonly schema: "order" | "none";
  /** Called for each good order after it is on the disk; its offset is committed when it has returned. */
  readonly onOrder?: OrderHandler;
  /** How often a call of `onOrder` is repeated; {@link DEFAULT_RETRY_POLICY} for what is left out. */
  readonly retryPolicy?: Partial<RetryPolicy>;
}

/** A tracker that is ready to run; disposing of it closes all that was opened. */
export interface OpenedTracker extends AsyncDisposable {
  /** The tracker's counts. */
  readonly metrics: TrackerCounts;
  /** Why nothing is done at the moment; undefined where records are journaled, or none are there to be. */
  readonly notReadyReason: string | undefined;
  /** Returns the metrics of this moment in the Prometheus text format. */
  prometheusMetrics(): Promise<string>;
  /** Called with journaled records after they are flushed to disk. Decodes every record: see {@link onJournaledRecords}. */
  onJournaled: (records: readonly KafkaRecord[]) => void;
  /** As {@link onJournaled}; records are decoded as they are asked for, so looking at the first few costs little. */
  onJournaledRecords: (records: Iterable<KafkaRecord>) => void;
  /** Called for each record that was sent to the dead-letter topic, with one of the contract's reasons. */
  onDeadLettered: (
    record: KafkaRecord,
    failure: {
      readonly reason: string;
      readonly message: string;
      readonly messageWithoutValues?: string;
    },
  ) => void;
  /** Runs until stopped, or until the topic's present end is journaled; then finishes what is in hand. */
  run(options: { readonly stop: AbortSignal; readonly exitAtEnd: boolean }): Promise<RunEnd>;
}

/** How a run ended. */
export interface RunEnd {
  /**
   * Records that were in the topic at the start and are not in the journal, because an open transaction holds
   * them back; only with `exitAtEnd`.
   */
  readonly undecided: readonly UndecidedRecords[];
}

const LOG_FILE = "tracker.log";
const SERVICE = "order-tracker";
const TOPIC_PARTITIONS = 3;
const MISSING_TOPIC_ADVICE = "create it (--create-topics does), or name another with --topic";
const METRICS_INTERVAL_MS = 30_000;

/**
 * Opens a tracker, and creates its dead-letter topic where that is missing.
 *
 * @throws {RangeError} where the topic is its own dead-letter topic.
 * @throws {BrokerUnreachableError} where no broker answers.
 * @throws {RefusedError} where the topic does not exist, or the cluster refuses it.
 * @throws {JournalLockedError} where another tracker has the folder.
 * @throws {JournalUnwritableError} where the folder cannot be written.
 */
export async function openTracker(options: OpenTrackerOptions): Promise<OpenedTracker> {
  const { topic, groupId, logs, connection, deadLetterTopic } = options;
  if (topic === deadLetterTopic) {
    throw new RangeError(`topic "${topic}" cannot be its own dead-letter topic`);
  }
  const found = await prepareCluster(options);
  await using opened = new AsyncDisposableStack();
  const log = loggerOf("tracker");
  const status = new StatusFile({ directory: logs, topic, groupId, log });
  const journal = await openJournalAndLog(options, { opened, log, status });
  status.noteStep("connecting to the cluster");
  const cluster = opened.use(await ClusterClient.connect(options.connection, "persist"));
  const partitionLogs = opened.use(new PartitionLogs(cluster, options.connection));
  const member = new MemberFile({ ...options, log });
  await member.removeDeadMember(cluster);
  const metrics = new Metrics();
  const deadLetters = openDeadLetters(options, { found, cluster, opened, log });
  let onJournaled: OpenedTracker["onJournaledRecords"] = () => {};
  let onDeadLettered: OpenedTracker["onDeadLettered"] = () => {};
  const tracker = new Tracker({
    ...options,
    openConsumer: (hooks) => new GroupConsumer(cluster, { connection, topic, groupId, ...hooks }),
    journal,
    lineThread: opened.use(new LineThread()),
    partitionLogs,
    deadLetters,
    metrics,
    log,
    onJournaled: (records) => onJournaled(records),
    onDeadLettered: (record, failure) => onDeadLettered(record, failure),
    onJoined: (memberId) => member.remember(memberId),
  });
  status.follow(() => tracker.report);
  const resources = opened.move();
  return {
    metrics,
    get notReadyReason() {
      const { isReady, reason } = tracker.standing;
      return isReady ? undefined : reason ?? "not ready";
    },
    async prometheusMetrics() {
      return trackerMetrics({
        ...options,
        metrics,
        journalBytes: await journalBytes(logs).catch(() => undefined),
        report: tracker.report,
      });
    },
    set onJournaled(listener: OpenedTracker["onJournaled"]) {
      onJournaled = (records) => listener([...records]);
    },
    set onJournaledRecords(listener: OpenedTracker["onJournaledRecords"]) {
      onJournaled = listener;
    },
    set onDeadLettered(listener: OpenedTracker["onDeadLettered"]) {
      onDeadLettered = listener;
    },
    run: ({ stop, exitAtEnd }) => {
      const { signal, finish } = finishable(stop);
      const end = exitAtEnd
        ? reachedEnd({
          cluster,
          topic,
          groupId,
          positions: () => tracker.positions,
          isCommitted: () => tracker.isCommitted,
          stop: signal,
        })
        : aborted(signal);
      return runUntil(end, { tracker, member, metrics, log, status, options }).finally(finish);
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/**
 * Refuses a topic that does not exist, and what may not be used: a running consumer takes such an answer for one that
 * may pass, and the first bad record may come late.
 *
 * @returns the dead-letter topic; undefined where bad records are only journaled.
 */
async function prepareCluster(
  { connection, topic, createTopics, groupId, deadLetterTopic }: OpenTrackerOptions,
): Promise<DeadLetterTopic | undefined> {
  await using cluster = await ClusterClient.connect(connection, "probe");
  const { partitionCount } = createTopics
    ? await cluster.ensureTopic(topic, { partitionCount: TOPIC_PARTITIONS })
    : await cluster.requireTopic(topic, MISSING_TOPIC_ADVICE);
  await cluster.requirePermission("Read", topic);
  await cluster.requireGroup(groupId);
  await cluster.committedOffsets(groupId, topic);
  if (deadLetterTopic === undefined) return undefined;
  const found = await ensureDeadLetterTopic(cluster, deadLetterTopic, partitionCount);
  await cluster.requirePermission("Write", deadLetterTopic);
  return found;
}

interface Opening {
  readonly opened: AsyncDisposableStack;
  readonly log: Logger;
}

/** The log stands in the journal's folder, so what the journal says of its recovery waits for it. */
async function openJournalAndLog(
  { logs, logLevel, rotateBytes, compress, keepMs, showsDeadLetters = false }: OpenTrackerOptions,
  { opened, log, status }: Opening & { readonly status: StatusFile },
): Promise<Journal> {
  const early: JournalNotice[] = [];
  let tell = (notice: JournalNotice): void => void early.push(notice);
  const journal = await openJournal({
    directory: logs,
    rotateBytes,
    compress,
    keepMs,
    onNotice: (notice) => tell(notice),
    onLocked: () => {
      status.noteStep("opening the journal");
      status.start();
    },
  }).catch(async (error) => {
    status.noteFailure(error);
    await status.close();
    throw error;
  });
  opened.defer(() => journal.close());
  opened.defer(
    await startLog({
      service: SERVICE,
      level: logLevel,
      file: join(logs, LOG_FILE),
      isLetterShown: !showsDeadLetters,
    }),
  );
  opened.defer(() => status.close());
  tell = (notice) => logJournalNotice(log, notice);
  early.forEach(tell);
  return journal;
}

function openDeadLetters(
  { connection, deadLetterTopic, groupId }: OpenTrackerOptions,
  { found, cluster, opened, log }: Opening & {
    readonly found: DeadLetterTopic | undefined;
    readonly cluster: ClusterClient;
  },
): DeadLetters | undefined {
  if (deadLetterTopic === undefined || found === undefined) return undefined;
  const producer = new ReliableProducer(connection);
  opened.defer(() => producer.close());
  return new DeadLetters({
    producer,
    topic: deadLetterTopic,
    partitionCount: found.partitionCount,
    isCompacted: found.isCompacted ?? false,
    groupId,
    describe: () => findDeadLetterTopic(cluster, deadLetterTopic),
    log,
  });
}

async function runUntil(
  end: Promise<EndOfTopic | void>,
  { tracker, member, metrics, log, status, options }: {
    tracker: Tracker;
    member: MemberFile;
    metrics: Metrics;
    log: Logger;
    status: StatusFile;
    options: OpenTrackerOptions;
  },
): Promise<RunEnd> {
  const { topic, groupId, logs } = options;
  log.info("The tracker started", { topic, groupId, logs });
  const timer = setInterval(
    () => log.info("Metrics", { ...metrics.snapshot() }),
    METRICS_INTERVAL_MS,
  );
  try {
    const ended = await Promise.race([tracker.run(), end]);
    const undecided = ended?.undecided ?? [];
    if (undecided.length > 0) {
      log.warn("Records wait behind an open transaction and were not waited for", {
        topic,
        undecided,
      });
    }
    return { undecided };
  } catch (error) {
    log.error("The tracker cannot go on", { error });
    status.noteFailure(error);
    throw error;
  } finally {
    clearInterval(timer);
    await tracker.stop();
    member.forget();
    log.info("The tracker stopped", { ...metrics.snapshot(), stopped: true });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true })
  );
}

/** A signal that follows another one and can be ended by hand, so that nothing polls on after the run. */
function finishable(stop: AbortSignal): { signal: AbortSignal; finish: () => void } {
  const controller = new AbortController();
  return {
    signal: AbortSignal.any([stop, controller.signal]),
    finish: () => controller.abort(),
  };
}
