/**
 * The book of what was redriven: a compacted topic beside the dead-letter topic, `orders-dlq-redriven`,
 * written in the same transactions as the redriven records, all on its partition 0. Two kinds of entries, in JSON:
 *
 *     key  claim
 *     value {"kind":"claim","session":"<uuid>","at":"<time>"}
 *           a redrive has begun, and whichever was at work before is to end
 *
 *     key  <id of the dead-letter topic>/<partition>/<first offset>/<topic>
 *     value {"kind":"redriven","dead_letters":"orders-dlq","topic_id":"<its id>","partition":2,"topic":"orders",
 *            "offsets":[[0,499],[502,502]],"session":"<uuid>","at":"<time>"}
 *           the letters at these offsets, first and last of each run, were sent to the topic
 *
 * Offsets alone, as a consumer group commits them, cannot say which letters were redriven: by reason or
 * by range is not a prefix. Runs of offsets in commit metadata would be bounded (4 kB by default). Here there is no
 * bound, the topic can be read with `kcat`, and a transaction costs one entry, not one a letter.
 *
 * A letter is a partition and an offset under the dead-letter topic's id (one that is created again holds
 * other letters), and it is redriven once to each topic, by name.
 *
 * @module
 */

import type { KafkaRecord, OutgoingRecord } from "../../kafka/record.ts";
import { type Interval, IntervalSet, requireInterval } from "../journal/intervals.ts";

/** Compaction keeps the last entry of each key, and keys of letters do not repeat: nothing is ever forgotten. */
export const BOOK_TOPIC_CONFIG = { "cleanup.policy": "compact" } as const;
/** All entries are in one partition, so that they have one order. */
export const BOOK_PARTITION = 0;

export function bookTopicOf(deadLetterTopic: string): string {
  return `${deadLetterTopic}-redriven`;
}

export interface Claim {
  readonly session: string;
  readonly at: string;
}

interface RedrivenEntry {
  readonly topicId: string;
  readonly partition: number;
  readonly topic: string;
  readonly offsets: readonly Interval[];
  readonly session: string;
}

export interface BookScope {
  readonly deadLetterTopic: string;
  readonly deadLetterTopicId: string;
  /** Where the letters are sent to. */
  readonly topic: string;
  /** This run's own name: a UUID. */
  readonly session: string;
}

const CLAIM_KEY = "claim";
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true });

/** What the book says of one dead-letter topic and one target; entries of others are passed over. */
export class Book {
  readonly #scope: BookScope;
  readonly #redriven = new Map<number, IntervalSet>();
  readonly #own = new Map<number, IntervalSet>();
  #lastClaim: Claim | undefined;

  constructor(scope: BookScope) {
    this.#scope = scope;
  }

  /** Who began last, as far as the book was read. */
  get lastClaim(): Claim | undefined {
    return this.#lastClaim;
  }

  /** Whether a claim is this run's. */
  isOwn(claim: Claim): boolean {
    return claim.session === this.#scope.session;
  }

  /** How many letters the book says that this very run has redriven. */
  get ownCount(): number {
    let count = 0;
    for (const { intervals } of this.#own.values()) {
      for (const { start, end } of intervals) count += end - start;
    }
    return count;
  }

  /** Whether a letter was redriven, by this run or another. */
  has({ partition, offset }: Pick<KafkaRecord, "partition" | "offset">): boolean {
    return this.#redriven.get(partition)?.has(offset) ?? false;
  }

  /** Whether a letter was redriven by this run. */
  hasOwn({ partition, offset }: Pick<KafkaRecord, "partition" | "offset">): boolean {
    return this.#own.get(partition)?.has(offset) ?? false;
  }

  /**
   * Takes in a record of the book.
   *
   * @throws {SyntaxError} where it is no entry: what cannot be read may stand for letters that were redriven.
   */
  read(record: KafkaRecord): void {
    const entry = decodeEntry(record);
    if (entry.kind === "claim") this.#lastClaim = entry.claim;
    else this.#take(entry.redriven);
  }

  #take({ topicId, partition, topic, offsets, session }: RedrivenEntry): void {
    if (topicId !== this.#scope.deadLetterTopicId || topic !== this.#scope.topic) return;
    for (const interval of offsets) {
      setOf(this.#redriven, partition).add(interval);
      if (session === this.#scope.session) setOf(this.#own, partition).add(interval);
    }
  }

  /** The entry that says that this run has begun. */
  claimEntry(now: Date): OutgoingRecord {
    const { session } = this.#scope;
    return entryOf(CLAIM_KEY, { kind: "claim", session, at: now.toISOString() });
  }

  /** The entry for letters of one partition, in the order of their offsets. */
  redrivenEntry(letters: readonly KafkaRecord[], now: Date): OutgoingRecord {
    const { deadLetterTopic, deadLetterTopicId, topic, session } = this.#scope;
    const partition = letters[0]?.partition ?? 0;
    const runs = runsOf(letters.map(({ offset }) => offset));
    return entryOf(`${deadLetterTopicId}/${partition}/${runs[0]?.[0]}/${topic}`, {
      kind: "redriven",
      dead_letters: deadLetterTopic,
      topic_id: deadLetterTopicId,
      partition,
      topic,
      offsets: runs,
      session,
      at: now.toISOString(),
    });
  }
}

function setOf(sets: Map<number, IntervalSet>, partition: number): IntervalSet {
  let set = sets.get(partition);
  if (set === undefined) {
    set = new IntervalSet();
    sets.set(partition, set);
  }
  return set;
}

/** `0, 1, 2, 5` as `[0, 2], [5, 5]`. */
function runsOf(offsets: readonly number[]): readonly (readonly [number, number])[] {
  const runs: [number, number][] = [];
  for (const offset of offsets) {
    const run = runs.at(-1);
    if (run !== undefined && offset === run[1] + 1) run[1] = offset;
    else runs.push([offset, offset]);
  }
  return runs;
}

function entryOf(key: string, value: object): OutgoingRecord {
  return {
    partition: BOOK_PARTITION,
    key: ENCODER.encode(key),
    value: ENCODER.encode(JSON.stringify(value)),
    headers: [],
  };
}

type Entry =
  | { readonly kind: "claim"; readonly claim: Claim }
  | { readonly kind: "redriven"; readonly redriven: RedrivenEntry };

function decodeEntry({ topic, offset, value }: KafkaRecord): Entry {
  try {
    const fields: unknown = JSON.parse(DECODER.decode(value ?? new Uint8Array()));
    if (!isFields(fields)) throw new SyntaxError("expected a JSON object");
    switch (fields["kind"]) {
      case "claim":
        return {
          kind: "claim",
          claim: { session: stringOf(fields, "session"), at: stringOf(fields, "at") },
        };
      case "redriven":
        return { kind: "redriven", redriven: decodeRedriven(fields) };
      default:
        throw new SyntaxError(`expected kind "claim" or "redriven"`);
    }
  } catch (cause) {
    throw new SyntaxError(
      `topic "${topic}" has a record at offset ${offset} that is no entry of redrive's: ` +
        `it is to hold nothing else, and what cannot be read could be redriven twice`,
      { cause },
    );
  }
}

type Fields = Readonly<Record<string, unknown>>;

function decodeRedriven(fields: Fields): RedrivenEntry {
  const { partition, offsets } = fields;
  if (typeof partition !== "number" || !Number.isSafeInteger(partition)) {
    throw new SyntaxError("expected partition to be a whole number");
  }
  if (!Array.isArray(offsets)) throw new SyntaxError("expected offsets to be a list");
  return {
    topicId: stringOf(fields, "topic_id"),
    partition,
    topic: stringOf(fields, "topic"),
    offsets: offsets.map(decodeRun),
    session: stringOf(fields, "session"),
  };
}

function decodeRun(run: unknown): Interval {
  if (!Array.isArray(run) || run.length !== 2) throw new SyntaxError("expected two offsets");
  const interval = { start: run[0], end: run[1] + 1 };
  requireInterval(interval);
  return interval;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function stringOf(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw new SyntaxError(`expected ${name} to be a string`);
  return value;
}
