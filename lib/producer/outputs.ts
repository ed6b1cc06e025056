/**
 * The files that a run of the producer writes, beside the topic.
 *
 * @module
 */

import type { Logger } from "../log.ts";
import { systemReasonOf } from "../system_error.ts";
import { counted } from "../text.ts";
import type { Accounts } from "./accounts.ts";
import type { DeliveryReport } from "./delivery.ts";
import { LedgerFile, type LedgerFileOptions } from "./ledger.ts";
import type { Shortfall } from "./line_file.ts";
import { UndeliveredFile } from "./undelivered.ts";
import { UsageError } from "../usage_error.ts";

const UNDELIVERED_PATH = "logs/producer.undelivered.jsonl";

export interface Outputs {
  readonly undeliveredPath: string;
  /** Takes an order's report on. Never throws. */
  add(report: DeliveryReport): void;
  /** Writes the histogram, and flushes all to the disk. Returns a line for each file that is incomplete. */
  close(accounts: Accounts): readonly string[];
}

/** @throws {Error} where a file cannot be written: before anything is sent. */
export function openOutputs(
  { ledger, hdr, log }: {
    readonly ledger?: string;
    readonly hdr?: string;
    readonly log: Logger;
  },
): Outputs {
  const watch = (path: string): LedgerFileOptions => ({
    onFailure: (error) =>
      log.error("An output file cannot be written; its lines wait in memory", { path, error }),
    onRecovery: () => log.warn("The output file can be written again", { path }),
  });
  const undelivered = new UndeliveredFile(UNDELIVERED_PATH, watch(UNDELIVERED_PATH));
  const ledgerFile = ledger === undefined
    ? undefined
    : opened("--ledger", ledger, () => new LedgerFile(ledger, watch(ledger)));
  if (hdr !== undefined) {
    opened("--hdr", hdr, () => Deno.writeTextFileSync(hdr, "", { mode: 0o600 }));
  }
  return {
    undeliveredPath: undelivered.path,
    add(report) {
      undelivered.add(report);
      ledgerFile?.add(report);
    },
    close: (accounts) => [
      ...describeShortfall(undelivered.path, undelivered.close()),
      ...(ledger === undefined ? [] : describeShortfall(ledger, ledgerFile?.close())),
      ...(hdr === undefined ? [] : writeHistogram(hdr, accounts.hgrm())),
    ],
  };
}

function describeShortfall(path: string, shortfall: Shortfall | undefined): readonly string[] {
  if (shortfall === undefined) return [];
  const { lineCount, error } = shortfall;
  const what = lineCount === 0
    ? "its last lines may not be on the disk"
    : `${counted(lineCount, "line")} could not be written`;
  return [`${path} is incomplete: ${what} (${reasonOf(error)})`];
}

/** A histogram that does not fit on the disk is emptied: half of one would be misread. */
function writeHistogram(path: string, text: string): readonly string[] {
  try {
    Deno.writeTextFileSync(path, text, { mode: 0o600 });
    return [];
  } catch (error) {
    try {
      Deno.truncateSync(path);
    } catch {
      // The reason that is reported is that of the write.
    }
    return [`${path} could not be written (${reasonOf(error)})`];
  }
}

function opened<File>(option: string, path: string, open: () => File): File {
  try {
    Deno.mkdirSync("logs", { recursive: true, mode: 0o700 });
    return open();
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
