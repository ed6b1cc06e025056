/**
 * Shared command-line options and parsers, one-line errors, and exit codes.
 */

import { CommanderError, InvalidArgumentError, Option } from "commander";
import { surviveFileLimit } from "../file_limit.ts";
import { messageOf } from "../system_error.ts";
import { isStandardOutputIncomplete, printErrorLine } from "../terminal.ts";
import { printable } from "../text.ts";
import { UsageError } from "../usage_error.ts";
import { parseAge, parseDuration, parseSize } from "./quantities.ts";

export { createCommand, OPTION_GROUPS } from "./command.ts";
export {
  durationParser,
  parseAge,
  parseDuration,
  parseMinutes,
  parseRecordSize,
  parseSize,
} from "./quantities.ts";
export { Argument, Command } from "commander";
export { InvalidArgumentError, Option };

export const EXIT_OK = 0;
export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;
/** The run went well, and crossed a threshold that its command line sets. */
export const EXIT_CROSSED = 3;

/** A higher rate would be no different from `max`. */
const RATE_MAX = 1_000_000;

/** Returns the `--log-level` option, which every program has. */
export function logLevelOption(): Option {
  return new Option("--log-level <level>", "lowest level of log lines on standard error")
    .choices(["debug", "info", "warn", "error"])
    .default("info");
}

/**
 * Runs a program and exits with its exit code: 0 or the returned code, 1 for a failure, 2 for a usage error. An error
 * is printed as one line on standard error; with `--log-level debug`, also with stack and causes. If the result could
 * not be written to standard output, that is a failure too.
 */
export async function runProgram(main: (args: string[]) => Promise<number | void>): Promise<void> {
  surviveFileLimit();
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault(); // the runtime would print a stack trace
    Deno.exit(reportError(event.reason));
  });
  try {
    const code = (await main(Deno.args)) ?? EXIT_OK;
    Deno.exit(code === EXIT_OK && isStandardOutputIncomplete() ? EXIT_FAILURE : code);
  } catch (error) {
    Deno.exit(reportError(error));
  }
}

/** Prints the error as one line and returns its exit code. */
export function reportError(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return isStandardOutputIncomplete() ? EXIT_FAILURE : EXIT_OK;
    printErrorLine(`${oneLine(error.message)} (--help shows the options)`);
    return EXIT_USAGE;
  }
  printErrorLine(`error: ${oneLine(messageOf(error))}`);
  if (isDebugging()) printCauses(error);
  return error instanceof UsageError ? EXIT_USAGE : EXIT_FAILURE;
}

function oneLine(message: string): string {
  return printable(message.trim().replace(/\s*\n\s*/g, " "));
}

function isDebugging(): boolean {
  const { args } = Deno;
  return args.includes("--log-level=debug") ||
    args[args.indexOf("--log-level") + 1] === "debug" && args.includes("--log-level");
}

function printCauses(error: unknown): void {
  let cause: unknown = error;
  while (cause instanceof Error) {
    for (const line of (cause.stack ?? cause.message).split("\n")) printErrorLine(printable(line));
    cause = cause.cause;
  }
}

/** Parses a rate in orders per second, fractions allowed, or `max`. */
export function parseRate(text: string): number | "max" {
  if (text === "max") return "max";
  const rate = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (!(rate > 0 && rate <= RATE_MAX)) {
    throw new InvalidArgumentError(`expected max, or a number above 0 and up to ${RATE_MAX}`);
  }
  return rate;
}

/** Parses stages such as `100:10s,1000:30s,0:5s`: the rate to reach, and the time to reach it; `0s` is a jump. */
export function parseRamp(
  text: string,
): readonly { readonly target: number; readonly durationMs: number }[] {
  const stages = text.split(",").map((stage) => {
    const [, rate = "", time = ""] = /^(\d+(?:\.\d+)?):(\w.*)$/.exec(stage.trim()) ?? [];
    const target = rate === "" ? NaN : Number(rate);
    if (!(target >= 0 && target <= RATE_MAX)) {
      throw new InvalidArgumentError(
        `expected stages RATE:TIME with commas, such as 100:10s,1000:30s,0:5s; got "${stage}"`,
      );
    }
    return { target, durationMs: /^0+(ms|s|m|h|d)$/.test(time) ? 0 : parseDuration(time) };
  });
  if (!stages.some(({ target }, index) => target > 0 && lastsFrom(stages, index))) {
    throw new InvalidArgumentError("expected at least one stage in which orders are due");
  }
  return stages;
}

/** Reports whether the rate of a stage is in effect for any time: during the stage, or at the start of the next one. */
function lastsFrom(stages: readonly { readonly durationMs: number }[], index: number): boolean {
  return (stages[index]?.durationMs ?? 0) > 0 || (stages[index + 1]?.durationMs ?? 0) > 0;
}

export function parsePercent(text: string): number {
  const percent = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (!(percent > 0 && percent <= 100)) {
    throw new InvalidArgumentError("expected a percentage above 0 and up to 100");
  }
  return percent;
}

/** Parses a date or time, such as `2026-01-31T08:00:00Z`, into milliseconds since the epoch. */
export function parseTime(text: string): number {
  const isIso = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/.test(
    text,
  );
  const timeMs = isIso && isDay(text.slice(0, 10)) ? Date.parse(text) : NaN;
  if (Number.isNaN(timeMs)) {
    throw new InvalidArgumentError(
      "expected a time in ISO 8601 with its zone, such as 2026-01-31T08:00:00Z, or a date (UTC)",
    );
  }
  return timeMs;
}

/** Returns whether the calendar has the day: `Date.parse` takes February 30 for March 2. */
function isDay(text: string): boolean {
  const day = Date.parse(text);
  return !Number.isNaN(day) && new Date(day).toISOString().startsWith(text);
}

/** Returns a parser for a comma-separated list of distinct choices. */
export function choicesParser<Choice extends string>(
  choices: readonly Choice[],
): (text: string) => readonly Choice[] {
  return (text) => {
    const parts = text.split(",").map((part) => part.trim());
    const chosen = choices.filter((choice) => parts.includes(choice));
    if (chosen.length !== new Set(parts).size) {
      throw new InvalidArgumentError(`expected one or more of ${choices.join(", ")}`);
    }
    return chosen;
  };
}

/** Returns a parser for a repeatable option: the first value replaces the default, later ones are appended. */
export function listParser<Value>(
  parse: (text: string) => Value,
): (text: string) => readonly Value[] {
  const values: Value[] = [];
  return (text) => {
    values.push(parse(text));
    return [...values];
  };
}

/** Returns a parser for an integer from `min` to `max`, both inclusive. */
export function integerParser(
  { min, max = Number.MAX_SAFE_INTEGER }: { min: number; max?: number },
): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      const range = max === Number.MAX_SAFE_INTEGER
        ? `of at least ${min}`
        : `from ${min} to ${max}`;
      throw new InvalidArgumentError(`expected a whole number ${range}`);
    }
    return value;
  };
}

export function parseBrokers(text: string): readonly string[] {
  const brokers = text.split(",").map((broker) => broker.trim()).filter((broker) => broker !== "");
  for (const broker of brokers) {
    if (broker.startsWith("[")) {
      throw new InvalidArgumentError(
        `IPv6 addresses are not supported: use a host name that resolves to it; got "${broker}"`,
      );
    }
    const port = Number(/^[^\s:\[\]]+:(\d{1,5})$/.exec(broker)?.[1]);
    if (!(port >= 1 && port <= 65_535)) {
      throw new InvalidArgumentError(`expected host:port, or several with commas; got "${broker}"`);
    }
  }
  if (brokers.length === 0) throw new InvalidArgumentError("expected host:port");
  return brokers;
}

export function parseTopic(text: string): string {
  if (!/^[a-zA-Z0-9._-]{1,249}$/.test(text) || text === "." || text === "..") {
    throw new InvalidArgumentError(
      "expected a topic name: up to 249 letters, digits, dots, dashes and underscores",
    );
  }
  return text;
}

export const NO_TOPIC = "none";

export function parseTopicOrNone(text: string): string {
  return text === NO_TOPIC ? NO_TOPIC : parseTopic(text);
}

/**
 * @throws {UsageError} if the topic is its own dead-letter topic: each bad record would produce another one, endlessly.
 */
export function requireOtherDeadLetters(
  { topic, deadLetters }: { readonly topic: string; readonly deadLetters: string },
): void {
  if (topic !== deadLetters || deadLetters === NO_TOPIC) return;
  throw new UsageError(
    `--topic "${topic}" is its own dead-letter topic: name another with --dead-letters, or none`,
  );
}

export function brokerOption(): Option {
  return new Option(
    "--broker <host:port,...>",
    "one or more brokers of the cluster (default: localhost:9092)",
  ).env("KAFKA_BROKER").argParser(parseBrokers);
}

/** The cluster's options; user names and passwords are never passed on the command line. */
export interface ClusterOptions {
  readonly broker?: readonly string[];
  readonly config?: string;
}

export function configOption(): Option {
  return new Option(
    "--config <file>",
    "Kafka client .properties file with brokers, TLS, and SASL; see docs/clusters.md",
  ).env("KAFKA_CONFIG");
}

export function topicOption(): Option {
  return new Option("--topic <name>", "topic with the orders")
    .env("KAFKA_TOPIC").default("orders").argParser(parseTopic);
}

export function logsOption(): Option {
  return new Option("--logs <folder>", "folder with the journal and the technical log")
    .default("logs");
}

export interface SegmentOptions {
  readonly rotate?: number;
  readonly compress: boolean;
  readonly keep?: number;
}

export function rotateOption(): Option {
  return new Option(
    "--rotate <size>",
    "close a journal segment before it exceeds this size, such as 256MB or 1GiB (default: never)",
  )
    .argParser(parseSize);
}

export function compressOption(): Option {
  return new Option("--compress", "compress closed segments with zstd").default(false);
}

export function keepOption(): Option {
  return new Option(
    "--keep <age>",
    "delete closed segments older than this, such as 12h, 30d, or 52w; their manifests stay " +
      "(default: keep all)",
  )
    .argParser(parseAge);
}

export function jsonOption(): Option {
  return new Option(
    "--json",
    "print one JSON object at the end and nothing else on standard output",
  )
    .default(false);
}

/** Returns `--quiet`, which also lowers the log level to `warn` unless `--log-level` is given. */
export function quietOption(): Option {
  return new Option(
    "--quiet",
    "print the totals only, besides warnings and errors on standard error",
  ).default(false).implies({ logLevel: "warn" });
}
