/**
 * Collects what the lines of a segment say when a journal is opened: which records it holds, and where it ends.
 */

import type { SegmentAccount } from "./account.ts";
import type { HeldOffsets } from "./held_offsets.ts";
import type { LineVisitor, ScannedLine } from "./line_scan.ts";
import type { NoticeListener } from "./notice.ts";

export interface SurveyOptions {
  readonly held: HeldOffsets;
  readonly position: number;
  /** True if everything before the position is known to be flushed: rules 3 and 4 in `recovery.ts`. */
  readonly trusted: boolean;
  /** Account of what lies before the position, which is added to; undefined if unknown. */
  readonly account: SegmentAccount | undefined;
}

/** Collects the results of a scan; the records go to `held`. */
export class Survey {
  readonly #held: HeldOffsets;
  readonly #trusted: boolean;
  /** Complete after {@link report}. */
  readonly account: SegmentAccount | undefined;
  /** The end of the last record. */
  #recordsEnd: number;
  #end: number;
  #lineCount = 0;
  #repeatedCount = 0;
  /** Bad lines followed by a record. */
  #foreign = new BadLines();
  #trailing = new BadLines();
  #stopped = false;

  constructor({ held, position, trusted, account }: SurveyOptions) {
    this.account = account;
    this.#held = held;
    this.#trusted = trusted;
    this.#recordsEnd = position;
    this.#end = position;
  }

  get lineCount(): number {
    return this.#lineCount;
  }

  get end(): number {
    return this.#end;
  }

  readonly visit: LineVisitor = (line, { start, end }) => {
    this.#end = end;
    if (this.#stopped) return;
    if (line.kind === "record") {
      this.#addRecord(line);
      this.#recordsEnd = end;
    } else {
      this.#trailing.add(line.kind, start);
      this.#stopped = this.#trusted && line.kind === "torn";
    }
  };

  #addRecord(line: Extract<ScannedLine, { kind: "record" }>): void {
    const { partition } = line;
    this.#foreign.addAll(this.#trailing);
    this.#trailing = new BadLines();
    const { isRepeated, superseded } = this.#held.addLine(partition, line);
    if (isRepeated) this.#repeatedCount++;
    this.#lineCount++;
    this.account?.supersede(partition, superseded);
    this.account?.addRecord(partition, line);
  }

  /** Returns where the active file must end; undefined if it is whole. */
  cutAt(): number | undefined {
    if (!this.#trusted) return this.#trailing.firstTorn;
    return this.#recordsEnd < this.#end ? this.#recordsEnd : undefined;
  }

  /** Reports the lines that stay although they are not records, or are repeated. */
  report(path: string, onNotice: NoticeListener): void {
    if (this.cutAt() === undefined) this.#foreign.addAll(this.#trailing);
    else if (!this.#trusted) this.#foreign.addAll(this.#trailing.beforeTorn());
    const { lineCount, firstPosition } = this.#foreign;
    this.account?.addForeign(lineCount);
    if (firstPosition !== undefined) {
      onNotice({ kind: "foreign lines", path, lineCount, firstPosition });
    }
    if (this.#repeatedCount > 0) {
      onNotice({ kind: "repeated lines", path, lineCount: this.#repeatedCount });
    }
  }
}

class BadLines {
  lineCount = 0;
  firstPosition: number | undefined;
  firstTorn: number | undefined;
  #countBeforeTorn = 0;

  add(kind: "foreign" | "torn", start: number): void {
    this.lineCount++;
    this.firstPosition ??= start;
    if (kind === "torn") this.firstTorn ??= start;
    if (this.firstTorn === undefined) this.#countBeforeTorn++;
  }

  addAll(others: BadLines): void {
    this.lineCount += others.lineCount;
    this.firstPosition ??= others.firstPosition;
  }

  /** Returns those that stay when the file is cut at the first torn line. */
  beforeTorn(): BadLines {
    const kept = new BadLines();
    kept.lineCount = this.#countBeforeTorn;
    if (kept.lineCount > 0) kept.firstPosition = this.firstPosition;
    return kept;
  }
}
