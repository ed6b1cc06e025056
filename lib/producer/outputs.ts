/**
 * The files that a run of the producer writes, beside the topic.
 *
 * @module
 */

import { UsageError } from "../cli.ts";
import type { Accounts } from "./accounts.ts";
import type { DeliveryReport } from "./delivery.ts";
import { LedgerFile } from "./ledger.ts";
import { UndeliveredFile } from "./undelivered.ts";

const UNDELIVERED_PATH = "logs/producer.undelivered.jsonl";

export interface Outputs {
  readonly undeliveredPath: string;
  add(report: DeliveryReport): void;
  /** Writes the histogram, and flushes all to the disk. */
  close(accounts: Accounts): void;
}

/** @throws {UsageError} where a file cannot be written: before anything is sent. */
export function openOutputs({ ledger, hdr }: { ledger?: string; hdr?: string }): Outputs {
  const undelivered = new UndeliveredFile(UNDELIVERED_PATH);
  const ledgerFile = ledger === undefined
    ? undefined
    : opened("--ledger", ledger, () => new LedgerFile(ledger));
  if (hdr !== undefined) opened("--hdr", hdr, () => Deno.writeTextFileSync(hdr, ""));
  return {
    undeliveredPath: undelivered.path,
    add(report) {
      undelivered.add(report);
      ledgerFile?.add(report);
    },
    close(accounts) {
      undelivered.close();
      ledgerFile?.close();
      if (hdr !== undefined) Deno.writeTextFileSync(hdr, accounts.hgrm());
    },
  };
}

function opened<File>(option: string, path: string, open: () => File): File {
  try {
    Deno.mkdirSync("logs", { recursive: true, mode: 0o700 });
    return open();
  } catch (error) {
    throw new UsageError(`${option} "${path}" cannot be written: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.AlreadyExists) {
    return "it is there already, and a ledger is not written over: choose another name";
  }
  if (error instanceof Deno.errors.NotCapable) {
    return "the program may write below logs/ only, as its --allow-write says";
  }
  if (error instanceof Deno.errors.NotFound) return "there is no such folder";
  return error instanceof Error ? error.message : String(error);
}
