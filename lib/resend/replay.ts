/**
 * `tracker replay`: puts journaled records back on a topic, each once, and proves it.
 *
 *     1 look     at the target and its settings, the journal, the groups, and what earlier replays did; whatever stands
 *                in the way is said now, before anything is sent
 *     2 create   the target, if it is missing and that was asked for
 *     3 send     (`replay_run.ts`)
 *     4 prove    the target is read back (`replay_proof.ts`)
 *     5 move     the groups' offsets, if it is proven; write the map
 *
 * A replay goes on from the progress of an earlier run if that run was of the same selection, to the same topic (by its
 * id), and if what it sent is where this one would begin: then its records are a beginning of ours in each partition.
 * If retention or an operator has deleted all of them since, the progress is stale, and the replay starts over.
 */

import type { KafkaConnection } from "../kafka/client.ts";
import { ClusterClient } from "../kafka/cluster.ts";
import type { TopicDescription } from "../kafka/cluster_answers.ts";
import { RefusedError } from "../kafka/errors.ts";
import { TopicReader } from "../kafka/topic_reader.ts";
import { TransactionalProducer } from "../kafka/transactional_producer.ts";
import { gapsIn } from "../journal/intervals.ts";
import type { Logger } from "../log.ts";
import type { Query } from "../search/query.ts";
import { counted } from "../text.ts";
import { withoutCopies } from "./replay_copies.ts";
import { findSent } from "./replay_earlier.ts";
import { committedBy, confirmGroup, movedOffsets } from "./replay_groups.ts";
import { Progress, ReplayLog, replayLogTopicOf } from "./replay_log.ts";
import { countOf, type Plan, planReplay } from "./replay_plan.ts";
import { proveReplay } from "./replay_proof.ts";
import { type Manner, partitionChooser, recordMaker } from "./replay_record.ts";
import { ReplayRun, type ReplaySender, type ReplaySession } from "./replay_run.ts";
import { ReplaySource, type SourceOptions } from "./replay_source.ts";
import { type ReplayOutcome, type ReplaySummary, summaryOf } from "./replay_summary.ts";
import {
  checkTarget,
  isEmpty,
  judgePlan,
  newTargetConfig,
  requirePartitions,
  type TargetCheck,
} from "./replay_target.ts";
import { ResendSession, TRANSACTION_TIMEOUT_MS } from "./resend_session.ts";

export interface ReplayOptions {
  readonly connection: KafkaConnection;
  /** Where the records go. */
  readonly topic: string;
  readonly source: SourceOptions;
  readonly query: Query;
  /** Identifies the request: a run resumes only a run with the same value. */
  readonly selection: string;
  /** True if the same selection matches fewer records as time passes (`--since 2h`). */
  readonly isMoving: boolean;
  readonly manner: Manner;
  /** Creates the topic if it is missing, with as many partitions as the source has, or as many as are given. */
  readonly create?: { readonly partitionCount?: number | undefined } | undefined;
  /** Accepts a topic with other records. */
  readonly append: boolean;
  /** Says what would be sent; sends and creates nothing, and fences no other run. */
  readonly isDryRun: boolean;
  /** Groups whose committed offsets move along. */
  readonly groups: readonly string[];
  /** Records a second. */
  readonly rate?: number | undefined;
  readonly log: Logger;
  /** Ends the run after the current transaction. */
  readonly stop?: AbortSignal | undefined;
  /** Called with warnings before anything is sent. */
  readonly onWarning: (warning: string) => void;
  readonly onProgress?: (progress: ReplayProgress) => void;
  /** Records in one transaction. Default 5,000. */
  readonly recordsMax?: number;
  /** Default `TransactionalProducer.open`. */
  readonly openSender?: (transactionalId: string) => Promise<ReplaySender>;
}

export interface ReplayProgress {
  /** Reading the journal (in bytes), sending (in records), and reading the topic back (in offsets). */
  readonly phase: "journal" | "sending" | "proof";
  readonly done: number;
  readonly total: number;
}

export interface ReplayResult {
  readonly summary: ReplaySummary;
  /** Where each record is now. */
  readonly progress: Progress;
}

/**
 * @throws {RefusedError} if something stands in the way, or the cluster refuses; {FencedError} if another replay to
 * the topic has begun; {BrokerUnreachableError} if no broker answers at the start; what `ReplaySource.open` throws.
 */
export async function replay(options: ReplayOptions): Promise<ReplayResult> {
  using source = await ReplaySource.open(options.source);
  const preparation = await prepare(source, options);
  await using cluster = await ClusterClient.connect(options.connection, "persist");
  await using reader = await TopicReader.connect(options.connection, "persist");
  return await new Replay({ ...preparation, options, source, cluster, reader }).run();
}

/** Valid topic names; a journal line can contain any text. */
const TOPIC_NAME = /^[\w.-]{1,249}$/;

interface Preparation {
  readonly found: TopicDescription | undefined;
  readonly plan: Plan;
  readonly check: TargetCheck;
  readonly partitionCount: number;
  readonly warnings: string[];
}

/** Checks everything that can prevent the replay, except for earlier replays. */
async function prepare(source: ReplaySource, options: ReplayOptions): Promise<Preparation> {
  const { connection, topic, manner, create, query, stop, isDryRun, onProgress, onWarning } =
    options;
  await using cluster = await ClusterClient.connect(connection, "probe");
  const found = create === undefined
    ? await cluster.requireTopic(topic, "name an existing topic, or add --create-topics")
    : await cluster.findTopic(topic);
  await cluster.requirePermission("Read", topic);
  if (!isDryRun) {
    await cluster.requirePermission("Write", topic);
    await cluster.requireTransactionalId(transactionalIdOf(topic));
  }
  const asked = {
    topic,
    keepsTimestamps: manner.timestamps === "keep",
    partitionOf: partitionChooser(manner, found?.partitionCount ?? 1),
    isSent: found && await findSent({ ...{ cluster, topic, targetId: found.topicId }, ...options }),
  };
  const check = await checkTarget(cluster, found, asked);
  const total = source.files.bytes;
  const plan = await planReplay({
    source,
    query,
    judge: check.judge,
    signal: stop,
    onRead: (done) => onProgress?.({ phase: "journal", done, total }),
  });
  if (plan.count === 0) {
    for (const warning of warningsOf(plan, source)) onWarning(warning);
    throw new RefusedError("no record is selected: nothing to replay", { reason: "NO_RECORDS" });
  }
  const known = await knownPartitions(cluster, source, plan);
  const partitionCount = found?.partitionCount ?? create?.partitionCount ?? known;
  const keepsPartitions = manner.partitions === "same";
  requirePartitions(plan, { topic, partitionCount, keepsPartitions });
  const warnings = [...judgePlan(plan, check, asked), ...warningsOf(plan, source)];
  if (keepsPartitions && partitionCount < known) {
    warnings.push(
      `topic "${topic}" has ${
        counted(partitionCount, "partition")
      }, the records' topic had ${known}`,
    );
  }
  return { found, plan, check, partitionCount, warnings };
}

/** Empty partitions count, too, as far as a journal's tracker or the cluster tells of them. */
async function knownPartitions(
  cluster: ClusterClient,
  source: ReplaySource,
  { partitions, partitionCount }: Plan,
): Promise<number> {
  const sources = Array.from(partitions.values(), (each) => each.source);
  const names = new Set(sources.map(({ topic }) => topic));
  const counts = [partitionCount, await source.partitionCountOf(names)];
  const existing = await cluster.findTopics([...names].filter((name) => TOPIC_NAME.test(name)));
  for (const { topicId, partitionCount } of existing.values()) {
    if (sources.some((each) => each.topicId === topicId)) counts.push(partitionCount);
  }
  return Math.max(...counts);
}

function warningsOf({ partitions, omitted }: Plan, source: ReplaySource): readonly string[] {
  const topics = [...new Set(Array.from(partitions.values(), (each) => each.source.topic))];
  return [
    ...source.problems,
    ...(topics.length < 2 ? [] : [
      `the records are of ${topics.length} topics (${topics.join(", ")}): --topic selects one`,
    ]),
    ...(omitted === undefined ? [] : [
      `${counted(omitted.count, "record")}, such as ${omitted.example}, cannot be replayed: ` +
      "the journal has only the size and SHA-256 of what was too large to be kept",
    ]),
  ];
}

type Parts = Preparation & {
  readonly options: ReplayOptions;
  readonly source: ReplaySource;
  readonly cluster: ClusterClient;
  readonly reader: TopicReader;
};

class Replay {
  readonly #parts: Parts;
  readonly #startedAtMs = performance.now();
  /** Without the copies that earlier runs have made, as far as the log was read. */
  #plan: Plan;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#plan = parts.plan;
  }

  async run(): Promise<ReplayResult> {
    const { options, plan, found, warnings, cluster } = this.#parts;
    const committed = new Map<string, Awaited<ReturnType<typeof committedBy>>>();
    const earlier = await this.#earlierProgress();
    for (const group of options.groups) {
      if (earlier.groups.has(group)) continue;
      committed.set(group, await committedBy(cluster, group, { plan, target: options.topic }));
    }
    for (const warning of warnings) options.onWarning(warning);
    if (options.isDryRun) return this.#result({ progress: earlier, topicId: found?.topicId });

    const target = found ?? await this.#createTarget();
    await using session = this.#openSession(target);
    const run = this.#runOf(session, target);
    const isComplete = await run.run();
    const { progress } = run;
    const sent = session.log.ownCount;
    const { transactions } = run;
    const done = { progress, topicId: target.topicId, sent, transactions, isComplete };
    if (!isComplete) return this.#result(done);
    const proof = await this.#prove(progress);
    const proven = this.#result({ ...done, proof });
    if (!proven.summary.ok) return proven;
    const moved = [];
    for (const group of options.groups) {
      const offsets = progress.groups.get(group) ??
        movedOffsets(committed.get(group) ?? new Map(), progress, latestIds(plan));
      const isMoved = !progress.groups.has(group);
      if (isMoved) {
        await run.moveGroup(group, offsets);
        await confirmGroup(cluster, { group, topic: options.topic, offsets });
      }
      const partitions = [...offsets].map(([partition, offset]) => ({ partition, offset }));
      moved.push({ group, moved: isMoved, partitions });
    }
    return this.#result({ ...done, proof, moved });
  }

  async #createTarget(): Promise<TopicDescription> {
    const { options: { topic, manner }, plan, cluster, partitionCount } = this.#parts;
    const keepsTimestamps = manner.timestamps === "keep";
    return await cluster.ensureTopic(topic, {
      partitionCount,
      config: newTargetConfig(plan, { keepsTimestamps }),
    });
  }

  #openSession(target: TopicDescription): ReplaySession {
    const { options: { connection, topic, selection, openSender }, cluster, reader } = this.#parts;
    const transactionalId = transactionalIdOf(topic);
    return new ResendSession<ReplayLog, ReplaySender>({
      cluster,
      reader,
      logTopic: replayLogTopicOf(topic),
      log: new ReplayLog({ targetId: target.topicId, selection }),
      done: "replayed",
      openSender: async () =>
        await (openSender?.(transactionalId) ?? TransactionalProducer.open(connection, {
          transactionalId,
          transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
        })),
    });
  }

  #runOf(session: ReplaySession, target: TopicDescription): ReplayRun {
    const { options, source, cluster, check } = this.#parts;
    const { rate, recordsMax, log, stop, manner, onProgress } = options;
    return new ReplayRun({
      ...{ cluster, session, target, source, rate, recordsMax, log, stop },
      plan: () => this.#plan,
      recordOf: recordMaker(manner, target.partitionCount),
      bytesMax: check.bytesMax,
      chooseProgress: () => this.#choose(session.log, target.topicId),
      onSent: (done) => onProgress?.({ phase: "sending", done, total: this.#plan.count }),
    });
  }

  /** Without opening a producer: the run itself asks again. */
  async #earlierProgress(): Promise<Progress> {
    const { found } = this.#parts;
    if (found === undefined) return new Progress();
    await using session = this.#openSession(found);
    await session.look();
    return await this.#choose(session.log, found.topicId);
  }

  /** @throws {RefusedError} if the topic holds records of others, and that was not asked for. */
  async #choose({ replays }: ReplayLog, targetId: string): Promise<Progress> {
    const { options: { topic, append }, plan, cluster, reader } = this.#parts;
    this.#plan = withoutCopies(plan, targetId, replays);
    const known = replays.findLast((progress) => this.#isOurs(progress));
    if (known !== undefined && !await this.#isGone(known)) return known;
    if (append || await isEmpty({ cluster, reader, topic })) return new Progress();
    throw new RefusedError(
      `topic "${topic}" is not empty, and its records are not from an earlier run of this replay: ` +
        "--append adds to it. Nothing was sent",
      { reason: "TOPIC_NOT_EMPTY" },
    );
  }

  /** Reports whether the records already sent are the beginning of the plan in each partition. */
  #isOurs(progress: Progress): boolean {
    const { isMoving, source, append } = this.#parts.options;
    // A search that is repeated, with `--since 1d`, prints other lines than before.
    const canLoseAny = isMoving || (append && source.searchFile !== undefined);
    return [...progress.offsets].every(([key, sent]) => {
      const offsets = this.#plan.partitions.get(key)?.offsets;
      if (offsets === undefined) return canLoseAny;
      const isBeginning = offsets.within({ start: 0, end: sent.end ?? 0 })
        .every((interval) => gapsIn(sent.intervals, interval).length === 0);
      // They fall out in the order of their timestamps, which need not be that of their offsets.
      if (canLoseAny) return isBeginning;
      // A journal may have lost its oldest segments since.
      const first = source.searchFile === undefined ? offsets.firstFrom(0) ?? 0 : 0;
      return isBeginning &&
        sent.intervals.every((interval) =>
          gapsIn(offsets.intervals, interval).every(({ end }) => end <= first)
        );
    });
  }

  async #isGone(progress: Progress): Promise<boolean> {
    const { options: { topic }, cluster } = this.#parts;
    const lows = new Map(
      (await cluster.allOffsets(topic)).map(({ partition, low }) => [partition, low]),
    );
    return [...progress].every(({ to, target, count }) => target + count <= (lows.get(to) ?? 0));
  }

  async #prove(progress: Progress) {
    const { options, source, cluster, reader, partitionCount } = this.#parts;
    const { topic, manner, append, onProgress } = options;
    return await proveReplay({
      ...{ cluster, reader, topic, source, progress },
      partitions: this.#plan.partitions,
      recordOf: recordMaker(manner, partitionCount),
      keepsTimestamps: manner.timestamps === "keep",
      isShared: append,
      onRead: (done, total) => onProgress?.({ phase: "proof", done, total }),
    });
  }

  #result(
    { progress, ...outcome }:
      & { readonly progress: Progress }
      & Pick<ReplayOutcome, "topicId">
      & Partial<ReplayOutcome>,
  ): ReplayResult {
    const { options, source, found, partitionCount, warnings } = this.#parts;
    const plan = this.#plan;
    const summary = summaryOf({
      ...{ options, plan, partitionCount, warnings, problems: source.problems },
      created: found === undefined,
      replayed: replayedCount(plan, progress),
      seconds: (performance.now() - this.#startedAtMs) / 1_000,
      ...outcome,
    });
    return { summary, progress };
  }
}

/** The records of the plan that are in the target. */
function replayedCount({ partitions }: Plan, progress: Progress): number {
  let count = 0;
  for (const [key, { offsets }] of partitions) {
    for (const interval of progress.offsets.get(key)?.intervals ?? []) {
      count += countOf(offsets.within(interval));
    }
  }
  return count;
}

/** Groups' offsets are those of the topic that was created last. */
function latestIds({ partitions }: Plan): ReadonlyMap<string, string | undefined> {
  return new Map(
    Array.from(partitions.values(), ({ source: { topic, topicId } }) => [topic, topicId]),
  );
}

/** Returns the transactional id that all replays to a topic share, as they share its log. */
export function transactionalIdOf(topic: string): string {
  return `orderflow.replay.${topic}`;
}
