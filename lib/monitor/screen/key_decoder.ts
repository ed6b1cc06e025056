/**
 * Decodes what a terminal sends in raw mode into keys. Pure: takes bytes in any pieces, returns keys.
 *
 *     ESC [ parameters final     arrows, Page Up, Shift+Tab, the two ends of a paste
 *     ESC O final                arrows in application mode, F1 to F4
 *     ESC ] text BEL|ESC \       a reply to a query, perhaps an earlier program's (also ESC P, ^, _, X)
 *     ESC character              Alt and a key
 *     ESC                        the Escape key, if nothing follows soon
 *
 * Unknown sequences are dropped whole, so that no part of them acts as a command.
 */

import type { Key } from "./controls.ts";

const ESC = "\x1b";
const PASTE_END = "\x1b[201~";
/** Pasted text beyond this length is dropped. */
const PASTE_LENGTH_MAX = 4_096;
/** A longer unfinished sequence is not treated as one. */
const SEQUENCE_LENGTH_MAX = 4_096;

/** How long a lone ESC may be the start of a sequence: a slow connection delivers byte by byte. */
const ESCAPE_WAIT_MS = 100;
const SEQUENCE_WAIT_MS = 1_000;
/** How long to wait for the end of a paste. Then it is considered lost, so that keys work again. */
const PASTE_WAIT_MS = 5_000;

// deno-lint-ignore no-control-regex -- escape sequences are what this pattern is for
const COMPLETE = /^\x1b(?:\[\[?[0-?]*[ -/]*[@-Z\\-~]|O[ -~]|[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\))/;
/** Matches the part of a sequence received so far. */
// deno-lint-ignore no-control-regex -- escape sequences are what this pattern is for
const BEGUN = /^\x1b(?:\[\[?[0-?]*[ -/]*|O|[\]P^_X][^\x07\x1b]*\x1b?)?/;
/** `ESC [ 1 ; 5 A` is an arrow with Ctrl: modifiers are ignored. */
// deno-lint-ignore no-control-regex -- escape sequences are what this pattern is for
const KEY_SEQUENCE = /^\x1b[[O](\d*)(?:;\d*)*([A-Z~])$/;

const KEYS_BY_FINAL: Readonly<Record<string, Key>> = {
  A: { name: "up" },
  B: { name: "down" },
  M: { name: "enter" },
  Z: { name: "backtab" },
  "3~": { name: "backspace" },
  "5~": { name: "pageup" },
  "6~": { name: "pagedown" },
};

const KEYS_BY_CHARACTER: Readonly<Record<string, Key>> = {
  "\x03": { name: "interrupt" },
  "\b": { name: "backspace" },
  "\t": { name: "tab" },
  "\n": { name: "enter" },
  "\r": { name: "enter" },
  "\x7f": { name: "backspace" },
};

export class KeyDecoder {
  readonly #decoder = new TextDecoder();
  /** Characters not decoded yet. */
  #pending = "";
  /** The text of an unfinished paste. */
  #paste: string | undefined;
  /** True after ESC was reported as the Escape key; the rest of its sequence may still come. */
  #isEscapeEarly = false;

  /** Decodes the next bytes from the terminal; keeps an incomplete sequence until more arrive. */
  push(bytes: Uint8Array): readonly Key[] {
    const text = this.#decoder.decode(bytes, { stream: true });
    if (text === "") return [];
    const isLateRest = this.#isEscapeEarly && this.#pending === "" && /^[[O]/.test(text);
    this.#isEscapeEarly = false;
    this.#pending += isLateRest ? ESC + text : text;
    const keys: Key[] = [];
    while (this.#pending !== "" && this.#step(keys));
    return keys;
  }

  /** How long to wait for more before {@link flush}; undefined if nothing is incomplete. */
  get waitMs(): number | undefined {
    if (this.#paste !== undefined) return PASTE_WAIT_MS;
    if (this.#pending === "") return undefined;
    return this.#pending === ESC ? ESCAPE_WAIT_MS : SEQUENCE_WAIT_MS;
  }

  /** Decodes what is incomplete, because nothing more arrived in time. */
  flush(): readonly Key[] {
    const keys: Key[] = [];
    if (this.#paste !== undefined) this.#endPaste(this.#paste + this.#pending, keys);
    else if (this.#pending === ESC) {
      keys.push({ name: "escape" });
      this.#isEscapeEarly = true;
    }
    this.#pending = "";
    return keys;
  }

  /** Decodes one key or sequence of the pending text; returns false if it needs more. */
  #step(keys: Key[]): boolean {
    if (this.#paste !== undefined) return this.#readPaste(this.#paste, keys);
    if (this.#pending.startsWith(ESC)) return this.#readSequence(keys);
    const character = String.fromCodePoint(this.#pending.codePointAt(0) ?? 0);
    this.#drop(character.length);
    const named = KEYS_BY_CHARACTER[character];
    if (named !== undefined) keys.push(named);
    else if (character >= " ") keys.push({ name: "character", text: character });
    return true;
  }

  #readSequence(keys: Key[]): boolean {
    const [sequence] = COMPLETE.exec(this.#pending) ?? [];
    if (sequence !== undefined) {
      this.#drop(sequence.length);
      if (sequence === "\x1b[200~") this.#paste = "";
      else {
        const [, parameter = "", final = ""] = KEY_SEQUENCE.exec(sequence) ?? [];
        const key = KEYS_BY_FINAL[final === "~" ? `${parameter}~` : final];
        if (key !== undefined) keys.push(key);
      }
      return true;
    }
    const [begun = ""] = BEGUN.exec(this.#pending) ?? [];
    if (begun.length === this.#pending.length) {
      if (begun.length > SEQUENCE_LENGTH_MAX) this.#pending = "";
      return false;
    }
    if (begun !== ESC) {
      // Interrupted by something else, perhaps by the next sequence.
      this.#drop(begun.endsWith(ESC) ? begun.length - 1 : begun.length);
    } else if (this.#pending.startsWith(ESC, 1)) {
      keys.push({ name: "escape" });
      this.#drop(1);
    } else {
      // Alt and a key.
      this.#drop(1 + String.fromCodePoint(this.#pending.codePointAt(1) ?? 0).length);
    }
    return true;
  }

  #readPaste(paste: string, keys: Key[]): boolean {
    const end = this.#pending.indexOf(PASTE_END);
    if (end >= 0) {
      const text = this.#pending.slice(0, end);
      this.#drop(end + PASTE_END.length);
      this.#endPaste(paste + text, keys);
      return true;
    }
    // The end may be incomplete.
    const sure = Math.max(0, this.#pending.length - (PASTE_END.length - 1));
    this.#paste = (paste + this.#pending.slice(0, sure)).slice(0, PASTE_LENGTH_MAX);
    this.#drop(sure);
    return false;
  }

  #endPaste(text: string, keys: Key[]): void {
    this.#paste = undefined;
    keys.push({ name: "paste", text: text.slice(0, PASTE_LENGTH_MAX) });
  }

  #drop(length: number): void {
    this.#pending = this.#pending.slice(length);
  }
}
