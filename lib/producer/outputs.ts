/**
 * The files that a producer run writes.
 */

import { resolve } from "node:path";
import type { Logger } from "../log.ts";
import { systemReasonOf } from "../system_error.ts";
import { counted } from "../text.ts";
import type { Accounts } from "./accounts.ts";
import type { DeliveryReport } from "./delivery.ts";
import { LedgerFile, type LedgerFileOptions } from "./ledger.ts";
import type { Shortfall } from "./line_file.ts";
import type { ProducerOptions } from "./options.ts";
import { ReplacedFile } from "./replaced_file.ts";
import { type SecondRow, SeriesFile } from "./series.ts";
import { UndeliveredFile } from "./undelivered.ts";
import { UsageError } from "../usage_error.ts";

const UNDELIVERED_PATH = "logs/producer.undelivered.jsonl";

export interface Outputs {
  readonly undeliveredPath: string;
  /** Takes an order's report on. Never throws. */
  add(report: DeliveryReport): void;
  /** Takes a second of the run. Never throws. */
  addRow(row: SecondRow): void;
  /** Writes the histogram, and flushes all to the disk. Returns a line for each file that is incomplete. */
  close(accounts: Accounts): readonly string[];
  /** Writes the page; returns a line if it could not be written. */
  writeReport(html: () => string): readonly string[];
}

type OutputPaths = Pick<ProducerOptions, "ledger" | "hdr" | "series" | "report">;

/** @throws {Error} where a file cannot be written: before anything is sent. */
export function openOutputs(paths: OutputPaths, log: Logger): Outputs {
  const { ledger, hdr, series, report } = paths;
  requireOwnPaths(paths);
  const watch = (path: string): LedgerFileOptions => ({
    onFailure: (error) =>
      log.error("An output file cannot be written; its lines wait in memory", { path, error }),
    onRecovery: () => log.warn("The output file can be written again", { path }),
  });
  const undelivered = new UndeliveredFile(UNDELIVERED_PATH, watch(UNDELIVERED_PATH));
  const ledgerFile = opened("--ledger", ledger, (path) => new LedgerFile(path, watch(path)));
  const hdrFile = opened("--hdr", hdr, (path) => new ReplacedFile(path));
  const seriesFile = opened("--series", series, (path) => new SeriesFile(path, watch(path)));
  const reportFile = opened("--report", report, (path) => new ReplacedFile(path));
  return {
    undeliveredPath: UNDELIVERED_PATH,
    add(report) {
      undelivered.add(report);
      ledgerFile?.add(report);
    },
    addRow: (row) => seriesFile?.add(row),
    close: (accounts) => [
      ...describeShortfall(UNDELIVERED_PATH, undelivered.close()),
      ...describeShortfall(ledger, ledgerFile?.close()),
      ...describeShortfall(series, seriesFile?.close()),
      ...written(hdrFile, () => accounts.hgrm()),
    ],
    writeReport: (html) => written(reportFile, html),
  };
}

/** @throws {UsageError} where two outputs have the same file. */
function requireOwnPaths(paths: OutputPaths): void {
  const optionOf = new Map([[resolve(UNDELIVERED_PATH), "undelivered records"]]);
  for (const option of ["ledger", "hdr", "series", "report"] as const) {
    const path = paths[option];
    if (path === undefined) continue;
    const other = optionOf.get(resolve(path));
    if (other !== undefined) {
      throw new UsageError(`--${option} "${path}" is the file of ${other}: choose another name`);
    }
    optionOf.set(resolve(path), `--${option}`);
  }
}

function describeShortfall(path = "", shortfall: Shortfall | undefined): readonly string[] {
  if (shortfall === undefined) return [];
  const { lineCount, error } = shortfall;
  const what = lineCount === 0
    ? "its last lines may not be on the disk"
    : `${counted(lineCount, "line")} could not be written`;
  return [`${path} is incomplete: ${what} (${reasonOf(error)})`];
}

function written(file: ReplacedFile | undefined, content: () => string): readonly string[] {
  const error = file?.write(content());
  return error === undefined ? [] : [`${file?.path} could not be written (${reasonOf(error)})`];
}

function opened<File>(
  option: string,
  path: string | undefined,
  open: (path: string) => File,
): File | undefined {
  if (path === undefined) return undefined;
  try {
    Deno.mkdirSync("logs", { recursive: true, mode: 0o700 });
    return open(path);
  } catch (error) {
    const message = `${option} "${path}" cannot be written: ${reasonOf(error)}`;
    throw isOutOfSpace(error)
      ? new Error(message, { cause: error })
      : new UsageError(message, { cause: error });
  }
}

/** Then another name would not help. */
function isOutOfSpace(error: unknown): boolean {
  return error instanceof Error && "code" in error &&
    (error.code === "ENOSPC" || error.code === "EDQUOT");
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.AlreadyExists) {
    return "it is there already, and a ledger is not written over: choose another name";
  }
  if (error instanceof Deno.errors.NotCapable) {
    return "the program may write below logs/ only, as its --allow-write says";
  }
  if (error instanceof Deno.errors.NotFound) return "there is no such folder";
  return systemReasonOf(error);
}
