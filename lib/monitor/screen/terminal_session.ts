/**
 * Takes over the terminal for a full screen and restores it, however the program ends or pauses.
 *
 * Uses cbreak mode: Ctrl-C and Ctrl-Z remain signals, so that a launcher between the shell and the program receives
 * them too.
 */

import { printErrorLine, writeControl } from "../../terminal.ts";
import type { Key } from "./controls.ts";
import { KeyDecoder } from "./key_decoder.ts";

/** Alternate screen, hidden cursor, bracketed paste. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[2J";
/** Reverts ENTER; also ends an interrupted synchronized update. */
const LEAVE = "\x1b[?2026l\x1b[0m\x1b[?2004l\x1b[?25h\x1b[?1049l";
const READ_BYTES = 1_024;

const IS_WINDOWS = Deno.build.os === "windows";
/** These end the program unless handled. Signals that request an orderly stop are in `lib/shutdown.ts`. */
const FATAL_SIGNALS: readonly Deno.Signal[] = IS_WINDOWS
  ? []
  : ["SIGQUIT", "SIGABRT", "SIGALRM", "SIGUSR2", "SIGXCPU"];
/** A launcher passes on a signal within this time. */
const PASSED_ON_MS = 100;
const HIDDEN =
  "The dashboard is hidden, but not stopped: the launcher, such as deno task, does not hand the terminal " +
  "back to the shell. Press Enter to show it again, Ctrl-C to end it.";
/** Dispatched before the runtime prints its error, which must appear on the user's screen. */
const LAST_EVENTS = ["error", "unhandledrejection", "unload"] as const;

export interface TerminalSessionOptions {
  readonly onKeys: (keys: readonly Key[]) => void;
  /** The screen is empty, or was resized: redraw everything. */
  readonly onRedraw: () => void;
  readonly onGone: () => void;
}

export class TerminalSession implements Disposable {
  readonly #options: TerminalSessionOptions;
  readonly #listeners: readonly (readonly [signal: Deno.Signal, listener: () => void])[];
  /** Set between SIGTSTP and the stop. */
  #stopTimer: ReturnType<typeof setTimeout> | undefined;
  #isActive = false;
  #isEnded = false;

  constructor(options: TerminalSessionOptions) {
    this.#options = options;
    this.#listeners = IS_WINDOWS ? [] : [
      ["SIGWINCH", () => this.#isActive && options.onRedraw()],
      ["SIGTSTP", () => this.#suspend()],
      // After another stop (SIGSTOP), the terminal may be in any mode.
      ["SIGCONT", () => {
        this.#leave();
        this.#enter();
      }],
      ...FATAL_SIGNALS.map((signal) => [signal, () => this.#die(signal)] as const),
    ];
  }

  start(): void {
    for (const [signal, listener] of this.#listeners) Deno.addSignalListener(signal, listener);
    for (const event of LAST_EVENTS) globalThis.addEventListener(event, this.#leave);
    this.#enter();
    void this.#read();
  }

  /** Writes a frame; does nothing while the terminal is given back. */
  write(text: string): void {
    if (this.#isActive && !writeControl(text)) this.#options.onGone();
  }

  [Symbol.dispose](): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearTimeout(this.#stopTimer);
    this.#leave();
    for (const [signal, listener] of this.#listeners) Deno.removeSignalListener(signal, listener);
    for (const event of LAST_EVENTS) globalThis.removeEventListener(event, this.#leave);
  }

  #enter(): void {
    if (this.#isActive || this.#isEnded) return;
    this.#isActive = true;
    try {
      // First, because this stops a background process before it draws over the shell's screen.
      Deno.stdin.setRaw(true, { cbreak: !IS_WINDOWS });
    } catch {
      return this.#options.onGone();
    }
    this.write(ENTER);
    this.#options.onRedraw();
  }

  readonly #leave = (): void => {
    if (!this.#isActive) return;
    this.#isActive = false;
    writeControl(LEAVE);
    try {
      Deno.stdin.setRaw(false);
    } catch {
      // The terminal was closed.
    }
  };

  /**
   * Handles Ctrl-Z: restores the terminal and stops; SIGCONT continues.
   *
   * `deno task` does not stop with the program: it catches the terminal's signal and passes it on, so the signal
   * arrives twice. Its shell keeps waiting, and could not continue a stopped program. In that case, the program only
   * hides.
   */
  #suspend(): void {
    this.#leave();
    if (this.#stopTimer !== undefined) {
      clearTimeout(this.#stopTimer);
      this.#stopTimer = undefined;
      return printErrorLine(HIDDEN);
    }
    this.#stopTimer = setTimeout(() => {
      this.#stopTimer = undefined;
      printErrorLine(`stopped; "fg" in the shell or "kill -CONT ${Deno.pid}" continues`);
      // As the runtime does on SIGTSTP without a listener.
      Deno.kill(Deno.pid, "SIGSTOP");
    }, PASSED_ON_MS);
  }

  #die(signal: Deno.Signal): void {
    this[Symbol.dispose]();
    // The signal has no listener now, so it ends the program as by default.
    Deno.kill(Deno.pid, signal);
  }

  async #read(): Promise<void> {
    const decoder = new KeyDecoder();
    const bytes = new Uint8Array(READ_BYTES);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const give = (keys: readonly Key[]) => {
      if (keys.length > 0 && this.#isActive) this.#options.onKeys(keys);
      const { waitMs } = decoder;
      if (waitMs !== undefined) timer = setTimeout(() => give(decoder.flush()), waitMs);
    };
    for (;;) {
      // Reading fails once the terminal is closed.
      const count = await Deno.stdin.read(bytes).catch(() => null);
      clearTimeout(timer);
      if (this.#isEnded) return;
      if (count === null) return this.#options.onGone();
      if (this.#isActive) give(decoder.push(bytes.subarray(0, count)));
      else this.#enter();
    }
  }
}
