/**
 * The technical log, based on LogTape: readable lines on standard error, and for the tracker also the contract's JSON
 * lines in `tracker.log`. Records go to the audit journal only.
 */

import {
  configure,
  dispose,
  getLogger,
  type Logger,
  type LogLevel,
  type LogRecord,
  type Sink,
  withFilter,
} from "@logtape/logtape";
import { LogFile } from "./log_file.ts";
import { limitedSink } from "./log_limit.ts";
import { activeSpanIds, isTelemetryOn } from "./telemetry.ts";
import { printConsoleLine, printErrorLine } from "./terminal.ts";
import { counted, printable } from "./text.ts";

export type { Logger };

/** The levels of `--log-level`. */
export type LogLevelName = "debug" | "info" | "warn" | "error";

const ROOT_CATEGORY = "orderflow";
const LETTERS = "letters";
const LETTERS_SHOWN_PER_SECOND_MAX = 10;

/**
 * Returns the logger of a part of the program. Messages are fixed sentences; values go into properties. The property
 * `error` is the reason and becomes the contract's field `error`.
 */
export function loggerOf(part: string): Logger {
  return getLogger([ROOT_CATEGORY, part]);
}

/** Returns the logger for lines about single dead letters, which a program may show in another way. */
export function letterLogOf(log: Logger): Logger {
  return log.getChild(LETTERS);
}

export interface LogOptions {
  /** Value of the contract's `service` field. */
  readonly service: string;
  /** Lowest level shown on standard error. */
  readonly level: LogLevelName;
  /** Path of a JSON Lines log of INFO and above. Default: none. */
  readonly file?: string;
  /** True to show lines about single dead letters on standard error, too. Default: true. */
  readonly isLetterShown?: boolean;
}

/**
 * Starts the log. Returns a function that flushes and ends it.
 *
 * @throws the file system's error if the file cannot be opened.
 */
export async function startLog(
  { service, level, file, isLetterShown = true }: LogOptions,
): Promise<() => Promise<void>> {
  const leveled = withFilter(printRecord, level === "warn" ? "warning" : level);
  const isOfLetter = (record: LogRecord) => record.category.at(-1) === LETTERS;
  // With telemetry on, standard error also feeds OpenTelemetry.
  const terminal = isTelemetryOn ? leveled : limitedSink(
    withFilter(leveled, (record) => isLetterShown || !isOfLetter(record)),
    {
      isLimited: isOfLetter,
      perSecondMax: LETTERS_SHOWN_PER_SECOND_MAX,
      summary: (count) => `${counted(count, "more dead letter")}; tracker.log has each`,
    },
  );
  const sinks: Record<string, Sink> = { terminal };
  if (file !== undefined) {
    sinks["file"] = withFilter(survivingSink(openLogFile({ service, file }), file), "info");
  }
  await configure({
    sinks,
    loggers: [
      { category: ["logtape", "meta"], sinks: ["terminal"], lowestLevel: "warning" },
      { category: [ROOT_CATEGORY], sinks: Object.keys(sinks), lowestLevel: "debug" },
    ],
    reset: true,
  });
  return dispose;
}

function openLogFile({ service, file }: { service: string; file: string }): Sink & Disposable {
  const log = new LogFile(file);
  const sink = (record: LogRecord) => log.append(formatLogEntry(record, service));
  return Object.assign(sink, { [Symbol.dispose]: () => log.close() });
}

/** Wraps a sink so that a failure does not stop the program: reports it once on standard error, and keeps trying. */
function survivingSink(sink: Sink & Disposable, file: string): Sink & Disposable {
  let failing = false;
  const surviving = (record: LogRecord) => {
    try {
      sink(record);
      failing = false;
    } catch (error) {
      if (!failing) {
        printErrorLine(`WARN cannot write ${printable(file)}: ${printable(reasonOf(error))}`);
      }
      failing = true;
    }
  };
  return Object.assign(surviving, { [Symbol.dispose]: () => sink[Symbol.dispose]() });
}

const CONTRACT_LEVELS: Readonly<Record<LogLevel, string>> = {
  trace: "DEBUG",
  debug: "DEBUG",
  info: "INFO",
  warning: "WARN",
  error: "ERROR",
  fatal: "ERROR",
};

/** Formats a line of `tracker.log`: the contract's LogEntry. Within a span, its metadata includes the span's ids. */
function formatLogEntry(record: LogRecord, service: string): string {
  const { error, ...properties } = record.properties;
  const metadata = { ...properties, ...activeSpanIds() };
  return JSON.stringify({
    timestamp: new Date(record.timestamp).toISOString(),
    level: CONTRACT_LEVELS[record.level],
    message: messageOf(record),
    service,
    ...(error !== undefined && { error: reasonOf(error) }),
    ...(Object.keys(metadata).length > 0 && { metadata }),
  }) + "\n";
}

/**
 * Prints a record. With telemetry on, warnings and errors go through the runtime's console, which exports them as
 * OpenTelemetry log records. Lower levels are not exported, because the console would write them to standard output.
 */
function printRecord(record: LogRecord): void {
  const details = Object.entries({ ...record.properties, ...activeSpanIds() })
    .map(([name, value]) => `${name}=${typeof value === "object" ? show(value) : String(value)}`);
  const time = new Date(record.timestamp).toISOString().slice(11, 23);
  const level = CONTRACT_LEVELS[record.level];
  const line = printable([time, level.padEnd(5), messageOf(record), ...details].join(" "));
  if (isTelemetryOn && (level === "WARN" || level === "ERROR")) printConsoleLine(line, level);
  else printErrorLine(line);
}

function show(value: unknown): string {
  return value instanceof Error ? JSON.stringify(value.message) : JSON.stringify(value);
}

function messageOf(record: LogRecord): string {
  return record.message.map(String).join("");
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
