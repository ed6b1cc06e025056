/**
 * Counts journal lines superseded by a truncation: keeps a partition's lines as runs of consecutive offsets, and
 * counts those at or past an offset.
 */

interface Run {
  readonly start: number;
  /** One past the last offset. */
  readonly end: number;
  readonly lineCount: number;
}

/** A compacted topic has many runs. The oldest are merged, and counted proportionally when they are cut. */
const RUNS_MAX = 4_096;

export class LineRuns {
  #runs: Run[] = [];

  copy(): LineRuns {
    const copy = new LineRuns();
    copy.#runs = [...this.#runs];
    return copy;
  }

  /** Returns whether a line at this offset comes after all lines so far. */
  isNext(offset: number): boolean {
    return offset >= (this.#runs.at(-1)?.end ?? 0);
  }

  /** Returns whether offsets may be missing before the next line. */
  isGap(offset: number): boolean {
    return offset > (this.#runs.at(-1)?.end ?? 0);
  }

  /** Adds a line that comes after all lines so far. */
  add(offset: number): void {
    const last = this.#runs.at(-1);
    if (last?.end === offset) {
      this.#runs[this.#runs.length - 1] = {
        ...last,
        end: offset + 1,
        lineCount: last.lineCount + 1,
      };
      return;
    }
    this.#runs.push({ start: offset, end: offset + 1, lineCount: 1 });
    const [first, second] = this.#runs;
    if (this.#runs.length <= RUNS_MAX || first === undefined || second === undefined) return;
    const lineCount = first.lineCount + second.lineCount;
    this.#runs.splice(0, 2, { start: first.start, end: second.end, lineCount });
  }

  /** Forgets the lines from this offset on; returns how many there were. */
  truncate(offset: number): number {
    let lineCount = 0;
    for (let run = this.#runs.at(-1); run !== undefined && run.end > offset;) {
      this.#runs.pop();
      const keptShare = Math.max(0, offset - run.start) / (run.end - run.start);
      const keptCount = Math.round(run.lineCount * keptShare);
      lineCount += run.lineCount - keptCount;
      if (keptCount > 0) this.#runs.push({ start: run.start, end: offset, lineCount: keptCount });
      run = keptCount > 0 ? undefined : this.#runs.at(-1);
    }
    return lineCount;
  }
}
