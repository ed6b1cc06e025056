/**
 * Writes lines to standard output and standard error, and detects terminals.
 *
 * The only module in `lib/` that writes to them. Text from records must be passed through `printable` (`lib/text.ts`)
 * first.
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

/** The first failed write to standard output. */
export interface OutputFailure {
  /** `closed`: the reader closed the pipe. `refused`: the write failed, as on a full disk. */
  readonly kind: "closed" | "refused";
  readonly reason: string;
}

let outputFailure: OutputFailure | undefined;
let isResultLost = false;
/** True if a failed write left an incomplete line. */
let isLineTorn = false;

/** Returns the first failure to write to standard output; undefined if all writes succeeded. */
export function standardOutputFailure(): OutputFailure | undefined {
  return outputFailure;
}

/** Reports whether the run must fail because its result, or text on a full disk, could not be written. */
export function isStandardOutputIncomplete(): boolean {
  return isResultLost || outputFailure?.kind === "refused";
}

/**
 * Writes a line to standard output.
 *
 * @returns false if it cannot be written; the first failure is reported on standard error.
 */
export function printLine(line: string): boolean {
  return write(Deno.stdout, `${clearedStatus(Deno.stdout)}${line}\n`);
}

/**
 * Writes bytes to standard output unchanged. For a terminal they must be passed through `printable` first, like text.
 *
 * @returns false if they cannot be written. The first failure is reported on standard error, unless the reader closed
 * the pipe.
 */
export function printBytes(bytes: Uint8Array): boolean {
  const cleared = clearedStatus(Deno.stdout);
  if (cleared !== "") write(Deno.stdout, cleared);
  return write(Deno.stdout, bytes, { isQuietWhenClosed: true });
}

/** Writes the result of a run to standard output, or to standard error if that fails. */
export function printResult(lines: readonly string[]): void {
  if (printLine(lines.join("\n")) || outputFailure === undefined) return;
  isResultLost = true;
  for (const line of lines) printErrorLine(line);
}

/** Writes a line to standard error. Ignores failures. */
export function printErrorLine(line: string): void {
  write(Deno.stderr, `${clearedStatus(Deno.stderr)}${line}\n`);
}

/** Like {@link printErrorLine}, through the runtime's console, which also exports the line to telemetry. */
export function printConsoleLine(line: string, level: "WARN" | "ERROR"): void {
  write(Deno.stderr, clearedStatus(Deno.stderr));
  // deno-lint-ignore no-console -- the runtime only exports console output as log records
  console[level === "WARN" ? "warn" : "error"]("%s", line);
}

/**
 * Writes a frame or control sequences to the terminal unchanged.
 *
 * @returns false if the terminal was closed.
 */
export function writeControl(text: string): boolean {
  return write(Deno.stdout, text);
}

/**
 * Shows a status that the next line or status replaces. Does nothing if the stream is not a terminal.
 */
export function showStatus(line: string, stream = Deno.stdout): void {
  if (!stream.isTerminal()) return;
  write(stream, `\r${CONTROL}K${line.slice(0, columns() - 1)}`);
  statusShown = true;
}

export function isTerminal(): boolean {
  return Deno.stdout.isTerminal();
}

/** Reports whether the terminal can show a full screen and read keys. */
export function hasPersonAtTerminal(): boolean {
  return isTerminal() && Deno.stdin.isTerminal() && Deno.env.get("TERM") !== "dumb";
}

/** Reports whether standard output should be colored (https://no-color.org). */
export function colorsWanted(): boolean {
  return isTerminal() && !Deno.noColor;
}

/** Returns the text in a style if colors are wanted. A style must never be the only signal. */
export function styled(text: string, style: Style): string {
  return colorsWanted() ? `${CONTROL}${STYLE_CODES[style]}m${text}${CONTROL}0m` : text;
}

let statusShown = false;
/** The streams that were terminals at the start; a closed one is no longer reported as a terminal. */
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
    return false; // a failure of standard error cannot be reported anywhere
  }
}

/** Writes some of the bytes; retries if another process made the descriptor non-blocking and the reader is slow. */
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

/** Reports whether the terminal was closed. This is not a failure: SIGHUP requests the stop. */
function isClosedTerminal(
  stream: typeof Deno.stdout | typeof Deno.stderr,
  error: unknown,
): boolean {
  return wasTerminal.has(stream) && error instanceof Error && "code" in error &&
    error.code === "EIO";
}
