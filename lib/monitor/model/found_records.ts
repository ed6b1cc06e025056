/**
 * Collects the records that a user searches for: those that contain a text, or all that failed. Pure.
 */

import { type RecentEvent, recentEvent } from "./recent_event.ts";
import { EventScanner } from "./scan.ts";

export interface Query {
  /** Matched anywhere in a line, ignoring case; undefined matches the failed records. */
  readonly text: string | undefined;
}

/** The records found so far, and how much of the journal has been searched. */
export interface Found {
  readonly query: Query;
  /** Newest first. */
  readonly events: readonly RecentEvent[];
  readonly readBytes: number;
  readonly totalBytes: number;
  /** `limited`: the search ended at a bound, and older records may match. */
  readonly progress: "searching" | "complete" | "limited";
}

export const FOUND_COUNT_MAX = 1_000;
const FOUND_BYTES_MAX = 16 * 1024 * 1024;
const LINE_BYTES_MAX = 64 * 1024;
const DECODER = new TextDecoder();

export class FoundRecords {
  readonly #query: Query;
  readonly #text: string;
  readonly #scanner = new EventScanner();
  /** Oldest first. */
  #newer: RecentEvent[] = [];
  /** Newest first. */
  readonly #older: RecentEvent[] = [];
  readonly #seen = new Set<string>();
  #bytes = 0;

  constructor(query: Query) {
    this.#query = query;
    this.#text = query.text?.toLowerCase() ?? "";
  }

  /** Newest first. */
  get events(): readonly RecentEvent[] {
    return [...this.#newer.toReversed(), ...this.#older];
  }

  get isFull(): boolean {
    return this.#count >= FOUND_COUNT_MAX || this.#bytes >= FOUND_BYTES_MAX;
  }

  get #isOverfull(): boolean {
    return this.#count > FOUND_COUNT_MAX || this.#bytes > FOUND_BYTES_MAX;
  }

  get #count(): number {
    return this.#newer.length + this.#older.length;
  }

  /** Adds a line that is older than all previous ones, if it matches. */
  noteOlder(line: Uint8Array): void {
    const event = this.#matching(line);
    if (event !== undefined) this.#older.push(event);
  }

  noteNewer(line: Uint8Array): void {
    const event = this.#matching(line);
    if (event === undefined) return;
    this.#newer.push(event);
    while (this.#isOverfull) this.#drop();
  }

  #drop(): void {
    const dropped = this.#older.pop() ?? this.#newer.shift();
    if (dropped === undefined) return;
    this.#bytes -= dropped.line.length;
    this.#seen.delete(nameOf(dropped));
  }

  #matching(line: Uint8Array): RecentEvent | undefined {
    if (this.#query.text === undefined) {
      if (!this.#scanner.scan(line, 0, line.length, true) || !this.#scanner.failed) {
        return undefined;
      }
    } else if (!DECODER.decode(line).toLowerCase().includes(this.#text)) return undefined;
    const event = recentEvent(this.#scanner, line.slice(0, LINE_BYTES_MAX));
    if (event === undefined || this.#seen.has(nameOf(event))) return undefined;
    this.#seen.add(nameOf(event));
    this.#bytes += event.line.length;
    return event;
  }
}

/** Identifies a record: a line appended during the search can be seen twice, by the search and as new. */
function nameOf({ topic, partition, offset, timestampMs }: RecentEvent): string {
  return `${topic}/${partition}@${offset} ${timestampMs}`;
}
