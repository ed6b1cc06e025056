/**
 * The searches that pages have asked for. A page asks again once a second; a search that nobody asks for any more is
 * ended.
 */

import type { Follower } from "../follow.ts";
import type { Found } from "../model/found_records.ts";
import type { JournalSearch } from "../search.ts";

const SEARCHES_MAX = 4;
const IDLE_MS = 15_000;

interface Asked {
  readonly search: JournalSearch;
  askedAtMs: number;
}

export class Searches implements Disposable {
  readonly #follower: Pick<Follower, "search" | "endSearch">;
  /** By text, undefined for the failed records; the one that was asked for last is last. */
  readonly #asked = new Map<string | undefined, Asked>();
  readonly #idleMs: number;
  readonly #timer: ReturnType<typeof setInterval>;

  /** @param idleMs after which a search that nobody has asked for is ended. */
  constructor(follower: Pick<Follower, "search" | "endSearch">, idleMs = IDLE_MS) {
    this.#follower = follower;
    this.#idleMs = idleMs;
    this.#timer = setInterval(() => this.#endIdle(), idleMs / 3);
  }

  /** Returns what was found so far; the first time, begins to search. */
  look(text: string | undefined): Found {
    const search = this.#asked.get(text)?.search ?? this.#follower.search({ text });
    this.#asked.delete(text);
    this.#asked.set(text, { search, askedAtMs: performance.now() });
    for (const oldest of this.#asked.keys()) {
      if (this.#asked.size <= SEARCHES_MAX) break;
      this.#end(oldest);
    }
    return search.found;
  }

  /** The finds of all searches. */
  get found(): readonly Found[] {
    return [...this.#asked.values()].map(({ search }) => search.found);
  }

  #endIdle(): void {
    const endedBefore = performance.now() - this.#idleMs;
    for (const [text, { askedAtMs }] of this.#asked) {
      if (askedAtMs < endedBefore) this.#end(text);
    }
  }

  #end(text: string | undefined): void {
    const asked = this.#asked.get(text);
    this.#asked.delete(text);
    if (asked !== undefined) this.#follower.endSearch(asked.search);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const text of [...this.#asked.keys()]) this.#end(text);
  }
}
