/**
 * Draws frames on a terminal: only changed lines, in one write, and at a bounded rate.
 */

/** The terminal buffers everything between these two and shows it at once (DEC private mode 2026). */
const BEGIN = "\x1b[?2026h";
const END = "\x1b[?2026l";
/** At this position, another program's line break does not scroll. */
const HOME = "\x1b[1;1H";
const REDRAWS_PER_SECOND_MAX = 10;
const REDRAW_MS_MIN = 1000 / REDRAWS_PER_SECOND_MAX;
/** Repaints at this interval, to remove what another program wrote on the screen. */
const REPAINT_MS = 5_000;
/** Terminals move lines for a while after being resized. */
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

  /**
   * Shows these lines, from the terminal's first row, now or when the last frame is old enough. The newest lines win.
   */
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

  /** Redraws everything, because the terminal's size changed. */
  resized(): void {
    this.#shown = [];
    this.#unsettledUntilMs = performance.now() + UNSETTLED_MS;
  }

  /** Stops all writing: the user is about to get the screen back. */
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
