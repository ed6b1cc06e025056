/**
 * The log of what was redriven: a compacted topic next to the dead-letter topic, `orders-dlq-redriven`. Entries are
 * JSON, all in partition 0, and are committed in the transactions of the records that they name:
 *
 *     key   claim
 *     value {"kind":"claim","session":"<uuid>","at":"<time>"}
 *           a redrive has begun
 *
 *     key   <id of the dead-letter topic>/<partition>/<first offset>/<topic>
 *     value {"kind":"redriven","dead_letters":"orders-dlq","topic_id":"<its id>","partition":2,
 *            "topic":"orders","offsets":[[0,499],[502,502]],
 *            "sources":[{"topic":"orders","topic_id":"<its id>","leader_epoch":3,"partition":2,
 *            "offsets":[[1000,1501]]}],"session":"<uuid>","at":"<time>"}
 *           the letters at these offsets (first and last of each run) were sent to the topic; `sources`
 *           are their records. Entries of version 0.1 have no sources.
 */

import Type from "typebox";
import type { KafkaRecord, OutgoingRecord } from "../record.ts";
import { type Interval, IntervalSet } from "../journal/intervals.ts";
import type { OpenedLetter } from "../tracker/opened_letter.ts";
import { CLAIM_KEY, entryDecoder, logEntry } from "./log_entry.ts";
import { SourceRecords } from "./source_records.ts";

/** Returns the name of a dead-letter topic's log. */
export function redriveLogTopicOf(deadLetterTopic: string): string {
  return `${deadLetterTopic}-redriven`;
}

export interface RedriveScope {
  readonly deadLetterTopic: string;
  readonly deadLetterTopicId: string;
  /** Where the letters' records are sent. */
  readonly topic: string;
  /** UUID of this run. */
  readonly session: string;
}

type Place = Pick<KafkaRecord, "partition" | "offset">;

/** The records redriven to one target topic. Entries of other targets are ignored. */
export class RedriveLog {
  /** The records that were redriven, by any of their letters. */
  readonly sources = new SourceRecords();
  /** Redriven letters whose records the log does not name, by partition. */
  readonly withoutSource = new Map<number, IntervalSet>();
  readonly #scope: RedriveScope;
  readonly #letters = new Map<number, IntervalSet>();
  readonly #own = new Map<number, IntervalSet>();

  #ownEntryCount = 0;

  constructor(scope: RedriveScope) {
    this.#scope = scope;
  }

  /** The committed transactions of this run that have letters. */
  get ownEntryCount(): number {
    return this.#ownEntryCount;
  }

  /** The letters that this run has redriven. */
  get ownLetterCount(): number {
    let count = 0;
    for (const { intervals } of this.#own.values()) {
      for (const { start, end } of intervals) count += end - start;
    }
    return count;
  }

  /** Returns whether a letter was redriven, by any run. */
  has({ partition, offset }: Place): boolean {
    return this.#letters.get(partition)?.has(offset) ?? false;
  }

  /** Returns whether a letter was redriven by this run. */
  hasOwn({ partition, offset }: Place): boolean {
    return this.#own.get(partition)?.has(offset) ?? false;
  }

  /**
   * Adds an entry, a record of the log's topic. Each is to be added once.
   *
   * @throws {SyntaxError} if it is not an entry: it could stand for letters that were redriven.
   */
  read(record: KafkaRecord): void {
    const entry = decodeEntry(record);
    if (entry.kind === "claim" || entry.topic !== this.#scope.topic) return;
    const { partition, session, sources } = entry;
    for (const source of sources ?? []) {
      const range = { ...source, topicId: source.topic_id, leaderEpoch: source.leader_epoch };
      for (const run of source.offsets) this.sources.addRange(range, intervalOf(run));
    }
    // A dead-letter topic that was created again has other letters, perhaps of the same records.
    if (entry.topic_id !== this.#scope.deadLetterTopicId) return;
    if (session === this.#scope.session) this.#ownEntryCount++;
    for (const run of entry.offsets) {
      const interval = intervalOf(run);
      setOf(this.#letters, partition).add(interval);
      if (session === this.#scope.session) setOf(this.#own, partition).add(interval);
      if (sources === undefined) setOf(this.withoutSource, partition).add(interval);
    }
  }

  /** Returns the entry that a run begins with. */
  claimEntry(now: Date): OutgoingRecord {
    const { session } = this.#scope;
    return logEntry(CLAIM_KEY, { kind: "claim", session, at: now.toISOString() });
  }

  /** Returns the entry for redriven letters of one partition, which must be in the order of their offsets. */
  redrivenEntry(letters: readonly OpenedLetter[], now: Date): OutgoingRecord {
    const { deadLetterTopic, deadLetterTopicId, topic, session } = this.#scope;
    const offsets = new IntervalSet();
    const sources = new SourceRecords();
    for (const { record: { offset }, source } of letters) {
      offsets.add({ start: offset, end: offset + 1 });
      sources.add(source);
    }
    const partition = letters[0]?.record.partition ?? 0;
    const runs = runsOf(offsets.intervals);
    return logEntry(`${deadLetterTopicId}/${partition}/${runs[0]?.[0]}/${topic}`, {
      kind: "redriven",
      dead_letters: deadLetterTopic,
      topic_id: deadLetterTopicId,
      partition,
      topic,
      offsets: runs,
      sources: [...sources].map((range) => ({
        topic: range.topic,
        topic_id: range.topicId,
        leader_epoch: range.leaderEpoch,
        partition: range.partition,
        offsets: runsOf(range.offsets),
      })),
      session,
      at: now.toISOString(),
    });
  }
}

function setOf(sets: Map<number, IntervalSet>, partition: number): IntervalSet {
  const set = sets.get(partition) ?? new IntervalSet();
  sets.set(partition, set);
  return set;
}

/** Returns the first and last offset of each interval. */
export function runsOf(intervals: readonly Interval[]): readonly (readonly [number, number])[] {
  return intervals.map(({ start, end }) => [start, end - 1]);
}

function intervalOf([first, last]: readonly [number, number]): Interval {
  return { start: first, end: last + 1 };
}

const Runs = Type.Array(Type.Tuple([Type.Integer(), Type.Integer()]));

const decodeEntry = entryDecoder(
  Type.Union([
    Type.Object({ kind: Type.Literal("claim"), session: Type.String(), at: Type.String() }),
    Type.Object({
      kind: Type.Literal("redriven"),
      topic_id: Type.String(),
      partition: Type.Integer(),
      topic: Type.String(),
      offsets: Runs,
      sources: Type.Optional(Type.Array(Type.Object({
        topic: Type.String(),
        topic_id: Type.Optional(Type.String()),
        leader_epoch: Type.Optional(Type.Integer()),
        partition: Type.Integer(),
        offsets: Runs,
      }))),
      session: Type.String(),
    }),
  ]),
  { name: "redrive", done: "redriven" },
);
