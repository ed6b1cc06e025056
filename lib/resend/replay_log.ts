/**
 * The log of what was replayed: a compacted topic next to the target, `<target>-replayed`. Entries are JSON, all in
 * partition 0, and are committed in the transactions of the records that they name:
 *
 *     key   claim
 *     value {"kind":"claim","session":"<uuid>","at":"<time>"}
 *           a run has begun
 *
 *     key   <id of the target>/<replay>/<partition>/<first offset in the target>
 *     value {"kind":"replayed","topic_id":"<id of the target>","replay":"<uuid>","selection":"<digest>",
 *            "moves":[{"topic":"orders","topic_id":"<its id>","partition":2,"to":2,
 *            "ranges":[[1000,0,500],[1501,500,10]]}],"session":"<uuid>","at":"<time>"}
 *           records of a partition are in a partition of the target: each range is the first old offset, the first new
 *           one, and how many records follow without a gap in either
 *
 *     key   <id of the target>/<replay>/group/<group>
 *     value {"kind":"group","topic_id":"<id of the target>","replay":"<uuid>","group":"<name>",
 *            "offsets":[[<partition>,<offset>]],"session":"<uuid>","at":"<time>"}
 *           the group's offsets were moved along
 */

import Type from "typebox";
import { IntervalSet } from "../journal/intervals.ts";
import type { KafkaRecord, OutgoingRecord } from "../record.ts";
import { sourceKey, type SourcePartition } from "./replay_plan.ts";
import { CLAIM_KEY, entryDecoder, logEntry } from "./log_entry.ts";
import type { ResendLog } from "./resend_session.ts";

/** Returns the name of a target's log. */
export function replayLogTopicOf(target: string): string {
  return `${target}-replayed`;
}

/** Records that follow one another both in their old partition and in the new one. */
export interface Move {
  readonly first: number;
  readonly to: number;
  readonly target: number;
  readonly count: number;
}

/** The records that one replay has put on the target, by {@link sourceKey}. */
export class Progress {
  readonly moves = new Map<string, { readonly source: SourcePartition; readonly moves: Move[] }>();
  readonly offsets = new Map<string, IntervalSet>();
  /** The offsets that were committed for groups, by group and partition. */
  readonly groups = new Map<string, ReadonlyMap<number, number>>();
  count = 0;

  constructor(readonly id: string = crypto.randomUUID()) {}

  add(source: SourcePartition, move: Move): void {
    const key = sourceKey(source);
    const known = this.moves.get(key) ?? { source, moves: [] };
    this.moves.set(key, known);
    known.moves.push(move);
    const offsets = this.offsets.get(key) ?? new IntervalSet();
    this.offsets.set(key, offsets);
    offsets.add({ start: move.first, end: move.first + move.count });
    this.count += move.count;
  }

  *[Symbol.iterator](): Generator<Move & { readonly source: SourcePartition }> {
    for (const { source, moves } of this.moves.values()) {
      for (const move of moves) yield { source, ...move };
    }
  }
}

export interface ReplayScope {
  readonly targetId: string;
  /** Digest of what was asked for: the progress of another selection is not this one's. */
  readonly selection: string;
}

export class ReplayLog implements ResendLog {
  readonly #scope: ReplayScope;
  readonly #session = crypto.randomUUID();
  /** Replays of this selection to this target, the latest last. */
  readonly #replays = new Map<string, Progress>();
  #ownCount = 0;

  constructor(scope: ReplayScope) {
    this.#scope = scope;
  }

  get replays(): readonly Progress[] {
    return [...this.#replays.values()];
  }

  /** The records that this run has sent. */
  get ownCount(): number {
    return this.#ownCount;
  }

  /** @throws {SyntaxError} if it is not an entry: it could stand for records that were replayed. */
  read(record: KafkaRecord): void {
    const entry = decodeEntry(record);
    const { targetId, selection } = this.#scope;
    if (entry.kind === "claim" || entry.topic_id !== targetId || entry.selection !== selection) {
      return;
    }
    const progress = this.#replays.get(entry.replay) ?? new Progress(entry.replay);
    this.#replays.set(entry.replay, progress);
    if (entry.kind === "group") {
      progress.groups.set(entry.group, new Map(entry.offsets));
      return;
    }
    for (const { topic, topic_id, partition, to, ranges } of entry.moves) {
      for (const [first, target, count] of ranges) {
        progress.add({ topic, topicId: topic_id, partition }, { first, to, target, count });
        if (entry.session === this.#session) this.#ownCount += count;
      }
    }
  }

  claimEntry(now: Date): OutgoingRecord {
    return this.#entryOf(CLAIM_KEY, { kind: "claim" }, now);
  }

  movesEntry({ id, moves }: Progress, now: Date): OutgoingRecord {
    const { targetId, selection } = this.#scope;
    const entries = [...moves.values()].flatMap(({ source, moves: all }) =>
      [...Map.groupBy(all, ({ to }) => to)].map(([to, some]) => ({
        topic: source.topic,
        topic_id: source.topicId,
        partition: source.partition,
        to,
        ranges: some.map(({ first, target, count }) => [first, target, count]),
      }))
    );
    const key = `${targetId}/${id}/${entries[0]?.to}/${entries[0]?.ranges[0]?.[1]}`;
    const value = { kind: "replayed", topic_id: targetId, replay: id, selection, moves: entries };
    return this.#entryOf(key, value, now);
  }

  groupEntry(
    { id }: Progress,
    { group, offsets }: { readonly group: string; readonly offsets: ReadonlyMap<number, number> },
    now: Date,
  ): OutgoingRecord {
    const { targetId, selection } = this.#scope;
    return this.#entryOf(`${targetId}/${id}/group/${group}`, {
      kind: "group",
      topic_id: targetId,
      replay: id,
      selection,
      group,
      offsets: [...offsets],
    }, now);
  }

  #entryOf(key: string, value: object, now: Date): OutgoingRecord {
    return logEntry(key, { ...value, session: this.#session, at: now.toISOString() });
  }
}

const Place = { topic_id: Type.String(), replay: Type.String(), selection: Type.String() };
const decodeEntry = entryDecoder(
  Type.Union([
    Type.Object({ kind: Type.Literal("claim") }),
    Type.Object({
      kind: Type.Literal("replayed"),
      ...Place,
      moves: Type.Array(Type.Object({
        topic: Type.String(),
        topic_id: Type.Optional(Type.String()),
        partition: Type.Integer(),
        to: Type.Integer(),
        ranges: Type.Array(Type.Tuple([Type.Integer(), Type.Integer(), Type.Integer()])),
      })),
      session: Type.String(),
    }),
    Type.Object({
      kind: Type.Literal("group"),
      ...Place,
      group: Type.String(),
      offsets: Type.Array(Type.Tuple([Type.Integer(), Type.Integer()])),
    }),
  ]),
  { name: "replay", done: "replayed" },
);
