/**
 * Sends the records of a plan, each once, in transactions that also commit which records they are.
 *
 *     1 open     a transactional producer whose id is fixed for the target: the broker fences every earlier replay to it,
 *                and aborts its open transaction
 *     2 read     the log of what was replayed, up to an entry of our own
 *     3 send     what the log does not name, in transactions of bounded size
 *     4 confirm  the log names every record that was sent
 *
 * Why no record goes twice, and none is forgotten: see `redrive.ts`, whose way this is. Unlike a redrive, a replay ends at
 * a record that the target refuses: those after it would be out of order.
 */

import { delay } from "../async.ts";
import type { ClusterClient } from "../kafka/cluster.ts";
import type { TopicDescription } from "../kafka/cluster_answers.ts";
import { RefusedError } from "../kafka/errors.ts";
import { BatchSizer, PartitionQueue } from "../kafka/partition_queue.ts";
import { recordBytesMax } from "../kafka/protocol/record_size.ts";
import type { Logger } from "../log.ts";
import type { OutgoingRecord } from "../record.ts";
import type { Hit } from "../search/query.ts";
import { Interruptions } from "./interruptions.ts";
import { confirmTopic } from "./redrive_topics.ts";
import { Progress, type ReplayLog } from "./replay_log.ts";
import { type Plan, type PlannedPartition, readPieces, sourceKey } from "./replay_plan.ts";
import type { ReplaySource } from "./replay_source.ts";
import {
  type ResendSession,
  SEND_BYTES_MAX,
  TRANSACTION_BYTES_MAX,
  type TransactionalSender,
} from "./resend_session.ts";
import { warnWhenSlow } from "./slow_cluster.ts";

/** The part of a transactional producer that a replay uses. */
export interface ReplaySender extends TransactionalSender {
  sendOffsets(group: string, topic: string, offsets: ReadonlyMap<number, number>): Promise<void>;
}

export type ReplaySession = ResendSession<ReplayLog, ReplaySender>;

export interface RunOptions {
  readonly cluster: ClusterClient;
  readonly session: ReplaySession;
  readonly target: TopicDescription;
  readonly source: ReplaySource;
  /** Returns the plan; choosing the progress may take records out of it. */
  readonly plan: () => Plan;
  readonly recordOf: (hit: Hit) => OutgoingRecord;
  /** Returns the progress to go on from, by what the log says now. */
  readonly chooseProgress: () => Promise<Progress>;
  /** Records a second; not limited if undefined. */
  readonly rate?: number | undefined;
  /** Records per batch. */
  readonly bytesMax: number | undefined;
  /** Records in one transaction. */
  readonly recordsMax?: number | undefined;
  readonly log: Logger;
  readonly stop?: AbortSignal | undefined;
  readonly onSent: (count: number) => void;
}

/** Records in one transaction. */
const RECORDS_MAX = 5_000;
/** A transaction has the records of this time at most, if a rate is asked for. */
const PACE_SECONDS = 0.5;
const WORDS = { name: "replay", done: "replayed" } as const;

interface Item {
  readonly partition: PlannedPartition;
  readonly offset: number;
  readonly record: OutgoingRecord;
}

export class ReplayRun {
  readonly #options: RunOptions;
  readonly #recordsMax: number;
  readonly #sizer: BatchSizer;
  #progress: Progress | undefined;
  readonly #interruptions: Interruptions;
  #sent = 0;
  /** When the first record was sent. */
  #startedAtMs = 0;
  transactions = 0;

  constructor(options: RunOptions) {
    const { rate = Infinity, recordsMax = RECORDS_MAX, bytesMax = Infinity } = options;
    this.#options = options;
    this.#interruptions = new Interruptions(
      { ...WORDS, place: `to "${options.target.topic}"` },
      options.log,
    );
    this.#recordsMax = Math.max(1, Math.min(recordsMax, Math.ceil(rate * PACE_SECONDS)));
    this.#sizer = new BatchSizer(Math.min(SEND_BYTES_MAX, Math.floor(bytesMax / 2)));
  }

  /** The log's latest entries. */
  get progress(): Progress {
    return this.#progress ?? new Progress();
  }

  /** @returns false if it was stopped before its end. */
  async run(): Promise<boolean> {
    const { session } = this.#options;
    await this.#warnWhenSlow(() => session.prepareLog());
    for (;;) {
      try {
        await this.#warnWhenSlow(() => session.open());
        const known = this.#progress?.id;
        this.#progress = session.log.replays.find(({ id }) => id === known) ??
          await this.#options.chooseProgress();
        const isComplete = await this.#sendRest(this.#progress);
        await this.#confirm();
        return isComplete;
      } catch (error) {
        await this.#interruptions.waitAfter(error);
      }
    }
  }

  /** Commits a group's offsets together with an entry that names them. */
  async moveGroup(group: string, offsets: ReadonlyMap<number, number>): Promise<void> {
    const { session, target } = this.#options;
    for (let attempt = 1;; attempt++) {
      try {
        if (attempt > 1) await session.open();
        if (this.#current().groups.has(group)) return;
        await session.append(
          session.log.groupEntry(this.#current(), { group, offsets }, new Date()),
        );
        await session.sender.sendOffsets(group, target.topic, offsets);
        await session.sender.commit();
        this.#interruptions.end();
        return;
      } catch (error) {
        await this.#interruptions.waitAfter(error);
      }
    }
  }

  #current(): Progress {
    const { id } = this.progress;
    return this.#options.session.log.replays.find((each) => each.id === id) ?? this.progress;
  }

  async #sendRest(progress: Progress): Promise<boolean> {
    const { source, recordOf, stop } = this.#options;
    const plan = this.#options.plan();
    let batch: Item[] = [];
    let bytes = 0;
    for await (const records of readPieces(source, remaining(plan, progress))) {
      for (const { piece: { partition }, hit } of records) {
        const { offset } = hit.record;
        const key = sourceKey(partition.source);
        if (plan.partitions.get(key)?.offsets.has(offset) !== true) continue;
        if (progress.offsets.get(key)?.has(offset)) continue;
        const record = recordOf(hit);
        batch.push({ partition, offset, record });
        bytes += recordBytesMax(record);
        if (batch.length < this.#recordsMax && bytes < TRANSACTION_BYTES_MAX) continue;
        await this.#send(batch, progress);
        [batch, bytes] = [[], 0];
        if (stop?.aborted) return false;
      }
      if (stop?.aborted) return false;
    }
    if (batch.length > 0) await this.#send(batch, progress);
    return true;
  }

  /** Sends records in one transaction, and waits as long as the rate asks for. */
  async #send(items: readonly Item[], { id }: Progress): Promise<void> {
    const { session, cluster, target, rate = Infinity, stop, onSent } = this.#options;
    if (this.#startedAtMs === 0) this.#startedAtMs = performance.now();
    await this.#warnWhenSlow(async () => {
      await confirmTopic(cluster, target, WORDS);
      const moved = new Progress(id);
      for (const [partition, some] of Map.groupBy(items, ({ record }) => record.partition)) {
        await this.#sendTo(partition, some, moved);
      }
      await session.append(session.log.movesEntry(moved, new Date()));
      await session.sender.commit();
    });
    this.#interruptions.end();
    this.transactions++;
    this.#sent += items.length;
    onSent(this.#sent);
    const dueMs = this.#startedAtMs + this.#sent / rate * 1_000;
    await delay(Math.max(0, dueMs - performance.now()), stop);
  }

  async #sendTo(partition: number, items: readonly Item[], moved: Progress): Promise<void> {
    const { session, target: { topic } } = this.#options;
    const queue = new PartitionQueue<Item>({
      toRecord: ({ record }) => record,
      sizeOf: ({ record }) => recordBytesMax(record),
      sizer: this.#sizer,
    });
    queue.push(...items);
    while (queue.length > 0) {
      const outcome = await queue.sendNext((records) =>
        session.sender.send({ topic, partition, records })
      );
      if (outcome.kind === "stored") {
        noteMoves(outcome.items, { to: partition, target: outcome.answer.baseOffset, moved });
      } else if (outcome.kind === "failed") throw outcome.error;
      else if (outcome.kind === "refused") {
        const { partition: { source }, offset } = outcome.item;
        const { reason, message } = outcome.error;
        throw new RefusedError(
          `topic "${topic}" refuses the record ${source.topic}[${source.partition}] offset ` +
            `${offset}: ${message}. The records before it were replayed; run it again when the ` +
            "topic accepts it",
          { reason, cause: outcome.error },
        );
      }
    }
  }

  async #confirm(): Promise<void> {
    const { session } = this.#options;
    const sent = this.#sent;
    await session.confirm(() => session.log.ownCount >= sent);
    this.#progress = this.#current();
    if (session.log.ownCount >= sent) return;
    throw new Error(
      `the log names ${session.log.ownCount} records of this replay: expected the ${sent} that ` +
        "were committed",
    );
  }

  async #warnWhenSlow<Result>(work: () => Promise<Result>): Promise<Result> {
    const { log, cluster, target } = this.#options;
    return await warnWhenSlow(work, {
      log,
      what: WORDS.name,
      confirmTopic: () => confirmTopic(cluster, target, WORDS),
    });
  }
}

/** The pieces that have a record which was not sent. */
function remaining(
  { partitions }: Plan,
  progress: Progress,
): readonly Pick<PlannedPartition, "pieces">[] {
  return Array.from(partitions, ([key, { offsets, pieces }]) => {
    const sent = progress.offsets.get(key);
    return {
      pieces: sent === undefined
        ? pieces
        : pieces.filter(({ first, last }) =>
          offsets.within({ start: first, end: last + 1 }).some((part) => {
            const [whole] = sent.within(part);
            return whole?.start !== part.start || whole.end !== part.end;
          })
        ),
    };
  });
}

/** Adds where records were stored, one after another from an offset on. */
function noteMoves(
  items: readonly Item[],
  { to, target, moved }: { readonly to: number; readonly target: number; readonly moved: Progress },
): void {
  for (let start = 0, end = 0; start < items.length; start = end) {
    const from = items[start];
    if (from === undefined) return;
    const { partition, offset: first } = from;
    end = start;
    while (items[end]?.partition === partition && items[end]?.offset === first + end - start) end++;
    moved.add(partition.source, { first, to, target: target + start, count: end - start });
  }
}
