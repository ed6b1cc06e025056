/**
 * The records that a person searches for: those that contain a text, or all that failed. Pure.
 *
 * @module
 */

import { type RecentEvent, recentEvent } from "./recent_event.ts";
import { EventScanner } from "./scan.ts";

/** Undefined text: records that failed. */
export interface Query {
  readonly text: string | undefined;
}

/** What was found so far, and how far the search has come. */
export interface Found {
  readonly query: Query;
  /** Newest first. */
  readonly events: readonly RecentEvent[];
  readonly readBytes: number;
  readonly totalBytes: number;
  /** `limited`: older records match, too, and are left out. */
  readonly progress: "searching" | "complete" | "limited";
}

/** Bounds of what is kept. */
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
    return this.#newer.length + this.#older.length >= FOUND_COUNT_MAX ||
      this.#bytes >= FOUND_BYTES_MAX;
  }

  /** Takes a line older than all so far. */
  noteOlder(line: Uint8Array): void {
    const event = this.#matching(line);
    if (event !== undefined) this.#older.push(event);
  }

  /** Takes a line that was written just now. */
  noteNewer(line: Uint8Array): void {
    const event = this.#matching(line);
    if (event === undefined) return;
    this.#newer.push(event);
    while (this.#newer.length + this.#older.length > FOUND_COUNT_MAX) this.#drop();
  }

  /** Forgets the oldest. */
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

/** The search passes lines that are being appended, too: they come twice. */
function nameOf({ topic, partition, offset, timestampMs }: RecentEvent): string {
  return `${topic}/${partition}@${offset} ${timestampMs}`;
}
