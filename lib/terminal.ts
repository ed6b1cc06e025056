/**
 * What the programs show: lines on standard output and standard error, and whether a person is looking.
 *
 * The only place in `lib/` that writes to them. Text that came from a message must have passed
 * `printable` (`lib/text.ts`) before it comes here.
 *
 * @module
 */

import { systemReasonOf } from "./system_error.ts";

const ENCODER = new TextEncoder();
const CONTROL = "\x1b[";

export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

const STYLE_CODES: Readonly<Record<Style, number>> = {
  bold: 1,
  dim: 2,
  red: 31,
  green: 32,
  yellow: 33,
  cyan: 36,
};

/** Why standard output stopped accepting text. */
export interface OutputFailure {
  /** `closed`: the reader of the pipe has left. `refused`: the write failed, as on a full disk. */
  readonly kind: "closed" | "refused";
  readonly reason: string;
}

let outputFailure: OutputFailure | undefined;
let isResultLost = false;
/** A failed write left a line without its end. */
let isLineTorn = false;

/** Returns the first failure to write to standard output; undefined while all writes succeeded. */
export function standardOutputFailure(): OutputFailure | undefined {
  return outputFailure;
}

/** Returns whether standard output lacks something that makes the run a failure: its result, or text for a full disk. */
export function isStandardOutputIncomplete(): boolean {
  return isResultLost || outputFailure?.kind === "refused";
}

/**
 * Writes a line to standard output.
 *
 * @returns false if it cannot be written; the first time, standard error says so.
 */
export function printLine(line: string): boolean {
  return write(Deno.stdout, `${clearedStatus(Deno.stdout)}${line}\n`);
}

/**
 * Writes bytes to standard output as they are. For a terminal they must have passed `printable`, like any text.
 *
 * @returns false if they cannot be written. Unless the reader has left, standard error says so, the first time.
 */
export function printBytes(bytes: Uint8Array): boolean {
  const cleared = clearedStatus(Deno.stdout);
  if (cleared !== "") write(Deno.stdout, cleared);
  return write(Deno.stdout, bytes, { isQuietWhenClosed: true });
}

/** Writes the result of a run to standard output, or to standard error if standard output does not accept it. */
export function printResult(lines: readonly string[]): void {
  if (printLine(lines.join("\n")) || outputFailure === undefined) return;
  isResultLost = true;
  for (const line of lines) printErrorLine(line);
}

/** Writes a line to standard error; does nothing if that cannot be written. */
export function printErrorLine(line: string): void {
  write(Deno.stderr, `${clearedStatus(Deno.stderr)}${line}\n`);
}

/** As {@link printErrorLine}, by the runtime's console, from which telemetry gets it too. */
export function printConsoleLine(line: string, level: "WARN" | "ERROR"): void {
  write(Deno.stderr, clearedStatus(Deno.stderr));
  // deno-lint-ignore no-console -- the runtime exports as log records what goes this way, and no other
  console[level === "WARN" ? "warn" : "error"]("%s", line);
}

/**
 * Writes a frame or control sequences to the terminal as they are.
 *
 * @returns false if the terminal was closed.
 */
export function writeControl(text: string): boolean {
  return write(Deno.stdout, text);
}

/**
 * Shows a line that the next line or status replaces. Does nothing where the stream is not a
 * terminal: a pipe gets whole lines only.
 */
export function showStatus(line: string, stream = Deno.stdout): void {
  if (!stream.isTerminal()) return;
  write(stream, `\r${CONTROL}K${line.slice(0, columns() - 1)}`);
  statusShown = true;
}

/** Whether standard output is a terminal. */
export function isTerminal(): boolean {
  return Deno.stdout.isTerminal();
}

/** Whether a person can be shown a whole screen, and can answer with keys. */
export function hasPersonAtTerminal(): boolean {
  return isTerminal() && Deno.stdin.isTerminal() && Deno.env.get("TERM") !== "dumb";
}

/** Whether colours are wanted on standard output (https://no-color.org). */
export function coloursWanted(): boolean {
  return isTerminal() && !Deno.noColor;
}

/** The text in a style where colours are wanted, else as it is. A style is never the only signal. */
export function styled(text: string, style: Style): string {
  return coloursWanted() ? `${CONTROL}${STYLE_CODES[style]}m${text}${CONTROL}0m` : text;
}

let statusShown = false;
/** What is no terminal any more once it was closed. */
const wasTerminal = new Set([Deno.stdout, Deno.stderr].filter((stream) => stream.isTerminal()));

function clearedStatus(stream: typeof Deno.stdout | typeof Deno.stderr): string {
  if (!statusShown || !stream.isTerminal()) return "";
  statusShown = false;
  return `\r${CONTROL}K`;
}

function columns(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return 80;
  }
}

function write(
  stream: typeof Deno.stdout | typeof Deno.stderr,
  content: string | Uint8Array,
  { isQuietWhenClosed = false } = {},
): boolean {
  const isOutput = stream === Deno.stdout;
  let bytes: Uint8Array = typeof content === "string"
    ? ENCODER.encode(isOutput && isLineTorn ? `\n${content}` : content)
    : content;
  const { length } = bytes;
  try {
    while (bytes.length > 0) bytes = bytes.subarray(writeSome(stream, bytes));
    if (isOutput) isLineTorn = false;
    return true;
  } catch (error) {
    if (isOutput) {
      if (bytes.length < length) isLineTorn = true;
      if (!isClosedTerminal(stream, error)) noteOutputFailure(error, { isQuietWhenClosed });
    }
    return false; // what standard error does not accept cannot be said anywhere
  }
}

/** A descriptor that another process made non-blocking refuses a write while the reader is slow: waits for it. */
function writeSome(stream: typeof Deno.stdout | typeof Deno.stderr, bytes: Uint8Array): number {
  while (true) {
    try {
      return stream.writeSync(bytes);
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      Atomics.wait(PAUSE, 0, 0, WRITE_RETRY_MS);
    }
  }
}

const WRITE_RETRY_MS = 5;
const PAUSE = new Int32Array(new SharedArrayBuffer(4));

function noteOutputFailure(error: unknown, { isQuietWhenClosed = false }): void {
  if (outputFailure !== undefined) return;
  const kind = error instanceof Deno.errors.BrokenPipe ? "closed" : "refused";
  const reason = systemReasonOf(error);
  outputFailure = { kind, reason };
  if (kind === "closed" && isQuietWhenClosed) return;
  printErrorLine(`Cannot write to standard output: ${reason}`);
}

/** The terminal was closed, which is no failure: SIGHUP asks for the stop. */
function isClosedTerminal(
  stream: typeof Deno.stdout | typeof Deno.stderr,
  error: unknown,
): boolean {
  return wasTerminal.has(stream) && error instanceof Error && "code" in error &&
    error.code === "EIO";
}
