/**
 * What the programs show: lines on standard output and standard error, and whether a person is looking.
 *
 * The only place in `lib/` that writes to them. Text that came from a message must have passed
 * `printable` (`lib/text.ts`) before it comes here.
 *
 * @module
 */

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

/**
 * Writes a line to standard output.
 *
 * @returns false where nobody reads any more (`| head`), which is no error.
 */
export function printLine(line: string): boolean {
  return write(Deno.stdout, `${clearedStatus(Deno.stdout)}${line}\n`);
}

/** Writes a line to standard error. */
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
 * Shows a line that the next line or status replaces. Does nothing where standard output is not a
 * terminal: a pipe gets whole lines only.
 */
export function showStatus(line: string): void {
  if (!isTerminal()) return;
  write(Deno.stdout, `\r${CONTROL}K${line.slice(0, columns() - 1)}`);
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

function write(stream: typeof Deno.stdout | typeof Deno.stderr, text: string): boolean {
  let bytes: Uint8Array = ENCODER.encode(text);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
    return true;
  } catch (error) {
    if (!isWithoutReader(stream, error)) throw error;
    return false;
  }
}

/** Nobody reads any more: the other end of a pipe was closed, or the terminal was. */
function isWithoutReader(stream: typeof Deno.stdout | typeof Deno.stderr, error: unknown): boolean {
  if (error instanceof Deno.errors.BrokenPipe) return true;
  return wasTerminal.has(stream) && error instanceof Error && "code" in error &&
    error.code === "EIO";
}
