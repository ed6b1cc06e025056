/**
 * Draws frames on a terminal: only the lines that changed, all at once, and no more often than a person can see.
 *
 * @module
 */

/** Between these two a terminal collects what comes, and then shows it at once (DEC private mode 2026). */
const BEGIN = "\x1b[?2026h";
const END = "\x1b[?2026l";
/** Here a line break of anyone else scrolls nothing away. */
const HOME = "\x1b[1;1H";
const REDRAWS_PER_SECOND_MAX = 10;
const REDRAW_MS_MIN = 1000 / REDRAWS_PER_SECOND_MAX;
/** What another program wrote on the screen is gone after so long. */
const REPAINT_MS = 5_000;
/** After a change of size terminals move lines for a while. */
const UNSETTLED_MS = 1_000;

export class Painter {
  readonly #write: (text: string) => void;
  #shown: readonly string[] = [];
  #waiting: readonly string[] | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;
  #repaintAtMs = 0;
  #unsettledUntilMs = 0;

  /** @param write takes text with control sequences to the terminal. */
  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** Shows these lines, the terminal's first row first, now or when the last frame is old enough; the newest win. */
  paint(lines: readonly string[]): void {
    if (this.#isStopped) return;
    if (this.#timer !== undefined) {
      this.#waiting = lines;
      return;
    }
    this.#draw(lines);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const waiting = this.#waiting;
      this.#waiting = undefined;
      if (waiting !== undefined) this.paint(waiting);
    }, REDRAW_MS_MIN);
  }

  /** The terminal has another size: nothing of what was drawn can be relied on. */
  resized(): void {
    this.#shown = [];
    this.#unsettledUntilMs = performance.now() + UNSETTLED_MS;
  }

  /** Nothing is written after this: the screen is about to be the person's own again. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #draw(lines: readonly string[]): void {
    const nowMs = performance.now();
    if (nowMs >= this.#repaintAtMs || nowMs < this.#unsettledUntilMs) {
      this.#shown = [];
      this.#repaintAtMs = nowMs + REPAINT_MS;
    }
    const changed = lines.map((line, row) =>
      line === this.#shown[row] ? "" : `\x1b[${row + 1};1H${line}`
    ).join("");
    this.#shown = lines;
    if (changed !== "") this.#write(`${BEGIN}${changed}${HOME}${END}`);
  }
}
