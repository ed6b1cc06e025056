/**
 * The promises and the evidence that is judged.
 */

import type { Acknowledged } from "./load.ts";

/** The promises, in the words that docs/guarantees.md has in bold; each violation begins with one. */
export const PROMISES = {
  acknowledged: "An order counts as acknowledged only when the broker said so",
  order: "The order of a partition is the order of generation",
  accounts: "Every generated order, or record of your own, is accounted for",
  once: "Each record of a partition is in one tracker's journal exactly once",
  bad: "A bad record is in the journal, then in the dead-letter topic, then committed",
  recreated: "A topic that was deleted and created again is read from its beginning",
  truncated: "A partition whose log was truncated and rewritten is read again from there",
  manifest: "A closed segment is proven unchanged by its manifest",
  identity: "The journal identifies a record by topic id, partition, offset, and leader epoch",
  readiness: "A tracker is never ready for more than 15 s while a partition with lag stands still",
  status: "`tracker.status` is whole at every read, and fresh while the tracker lives",
  recovery: "Everything recovers by itself once its cause is gone",
  verify: "`tracker verify` reads the topic with a reader of its own",
  redrive: "A source record goes back once to a topic",
} as const;

type Role = Acknowledged["role"];

/** Effects of the faults that excuse something, and violations noticed while they lasted. */
export interface Facts {
  /** Twice the number of times that each topic was created again. */
  readonly incarnations: Record<Role, number>;
  /** By topic id: the incarnation of a deleted topic. */
  readonly formerTopics: Map<string, number>;
  /** By `role/partition`: records acknowledged before this time may be gone. */
  readonly truncatedUntilMs: Map<string, number>;
  groupWasReset: boolean;
  lettersWereDeleted: boolean;
  readonly lettersAreCompacted: boolean;
  readonly memberCount: number;
  readonly violations: string[];
}

export interface Place {
  readonly partition: number;
  readonly offset: number;
  readonly epoch: number;
}

/** `value` is a SHA-256, or "null"; `details` has the key, the timestamp, and the headers. */
export interface TopicRecord extends Place {
  readonly value: string;
  readonly details: string;
  readonly headers: ReadonlyMap<string, string>;
}

export interface JournalLine extends Omit<TopicRecord, "headers"> {
  readonly topic: string;
  readonly topicId: string;
  readonly mark: string;
  readonly isBad: boolean;
}

export interface JournalEvidence {
  readonly name: string;
  /** A guest is in a group of its own, and need not hold everything. */
  readonly isGuest: boolean;
  /** In file order. */
  readonly lines: readonly JournalLine[];
  /** Offsets of removed segments, by `topic id/partition`. */
  readonly removed: ReadonlyMap<string, readonly (readonly [start: number, end: number])[]>;
  readonly manifestFaults: readonly string[];
}

export interface TopicEvidence {
  readonly role: Role;
  readonly topic: string;
  readonly id: string;
  readonly records: readonly TopicRecord[];
  /** Records at the ends of partitions that an open transaction hides from readers of committed records. */
  readonly heldBack: readonly TopicRecord[];
  readonly letters: readonly TopicRecord[];
  /** The results of `tracker verify` and of two redrives; each begins with `code N: `. */
  readonly verified: string;
  readonly redrives: readonly string[];
  /** The topic after the redrives. */
  readonly redriven: readonly TopicRecord[];
}

export interface Evidence {
  readonly facts: Facts;
  readonly topics: readonly TopicEvidence[];
  readonly journals: readonly JournalEvidence[];
  readonly acknowledged: readonly Acknowledged[];
  readonly producers: readonly ProducerEvidence[];
}

export interface ProducerEvidence {
  readonly name: string;
  /** Undefined if it was killed. */
  readonly accounts: Readonly<Record<string, number>> | undefined;
  readonly ledger: readonly Acknowledged[];
}

export interface Judgment {
  readonly violations: readonly string[];
  /** The compared counts, for the proof. */
  readonly counts: Readonly<Record<string, number>>;
}
