/**
 * Counts by name and keeps the largest counts sorted.
 */

/** Bounds memory for a hostile journal: further names are not counted. */
export const TALLY_NAMES_MAX = 50_000;
export const TALLY_TOP_COUNT = 10;

export interface Counted {
  /** The latest label: not safe to print. */
  readonly label: string;
  readonly count: number;
}

interface MutableCounted {
  label: string;
  count: number;
}

/** Counts only grow, so the largest are known without looking at the others. */
export class Tally {
  #byName = new Map<string, MutableCounted>();
  #top: MutableCounted[] = [];

  copy(): Tally {
    const copy = new Tally();
    for (const [name, counted] of this.#byName) copy.#byName.set(name, { ...counted });
    const largest = copy.#byName.values().toArray().sort(byCount);
    copy.#top = largest.slice(0, TALLY_TOP_COUNT);
    return copy;
  }

  /** @param count above 0. */
  add(name: string, label: string, count: number): void {
    let counted = this.#byName.get(name);
    if (counted === undefined) {
      if (this.#byName.size >= TALLY_NAMES_MAX) return;
      counted = { label, count: 0 };
      this.#byName.set(name, counted);
    }
    counted.label = label;
    counted.count += count;
    this.#place(counted);
  }

  get size(): number {
    return this.#byName.size;
  }

  /** At most {@link TALLY_TOP_COUNT}, largest first. */
  get top(): readonly Counted[] {
    return this.#top.map((each) => ({ ...each }));
  }

  #place(counted: MutableCounted): void {
    const top = this.#top;
    let at = top.indexOf(counted);
    if (at < 0) {
      const last = top.at(-1);
      if (top.length < TALLY_TOP_COUNT) top.push(counted);
      else if (last !== undefined && byCount(counted, last) < 0) top[top.length - 1] = counted;
      else return;
      at = top.length - 1;
    }
    for (; at > 0; at--) {
      const before = top[at - 1];
      if (before === undefined || byCount(before, counted) <= 0) return;
      top[at - 1] = counted;
      top[at] = before;
    }
  }
}

function byCount(one: Counted, other: Counted): number {
  return other.count - one.count;
}
