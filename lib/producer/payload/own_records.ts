/**
 * The user's own records in place of the shop's orders: which source the command line names, and their way into the run.
 */

import { resolve } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { recordBytesMax } from "../../kafka/protocol/record_size.ts";
import type { Logger } from "../../log.ts";
import { messageOf } from "../../system_error.ts";
import { inBytes } from "../../text.ts";
import { UsageError } from "../../usage_error.ts";
import type { PlannedRecord } from "../planned_record.ts";
import type { NextRecord } from "../order_records.ts";
import { type FieldPath, KeyedRecords } from "./key_field.ts";
import { PayloadFile } from "./payload_file.ts";
import { loadPayloadModule } from "./payload_module.ts";
import { RandomRecords } from "./random_records.ts";
import { type OwnRecord, PayloadError, type RecordRequest, type RecordSource } from "./source.ts";

/** Far above what brokers accept by default (`max.message.bytes`, 1 MB). */
const RECORD_BYTES_MAX = 96 * 1024 * 1024;

/** At most one of the three is given; none for orders. */
export interface PayloadOptions {
  readonly payloadFile?: string;
  readonly payloadDelimiter: Uint8Array;
  readonly payloadModule?: string;
  readonly recordSize?: number;
  readonly keyField?: FieldPath;
  readonly seed: number;
}

/**
 * Opens the source of the records; undefined where the shop is to make orders.
 *
 * @throws {UsageError} where it cannot be read, or has no records: before anything is sent.
 */
export async function openRecordSource(
  options: PayloadOptions,
  log: Logger,
): Promise<RecordSource | undefined> {
  const { payloadFile, payloadModule, payloadDelimiter: delimiter, recordSize, seed } = options;
  if (recordSize !== undefined) return new RandomRecords(recordSize, seed);
  if (payloadModule !== undefined) {
    return await opened(
      { option: "--payload-module", path: payloadModule },
      () => loadPayloadModule(payloadModule, seed),
    );
  }
  if (payloadFile === undefined) return undefined;
  const file = await opened(
    { option: "--payload-file", path: payloadFile },
    () => new PayloadFile({ path: payloadFile, delimiter }),
  );
  if (file.hasCarriageReturns) {
    log.warn(
      "Records of the payload file end with a carriage return, which is sent; " +
        "--payload-delimiter '\\r\\n' leaves it out",
      { path: payloadFile },
    );
  }
  if (options.keyField === undefined) return file;
  return new KeyedRecords(file, {
    path: options.keyField,
    onFirstWithoutKey: (sequence) =>
      log.warn(
        "A record has no key: its value is not JSON, or has no string, number, or boolean at --key-field",
        { record: sequence },
      ),
  });
}

/** Numbers a source's records from 1, and gives each its partition. */
export function recordsFrom(
  source: RecordSource,
  partitionOf: (record: Pick<PlannedRecord, "key" | "sequence">) => number,
): NextRecord {
  let sequence = 0;
  return ({ orderAtMs, plannedAtMs }) => {
    const record = nextOf(source, { sequence: ++sequence, timeMs: orderAtMs });
    requireSendable(record);
    const partition = partitionOf({ key: record.key, sequence });
    return {
      ...record,
      orderId: `record-${sequence}`,
      sequence,
      partition,
      plannedAtMs,
      isOwn: true,
    };
  };
}

/** @throws {PayloadError} also where a file cannot be read any more. */
function nextOf(source: RecordSource, request: RecordRequest): OwnRecord {
  try {
    return source.next(request);
  } catch (error) {
    if (error instanceof PayloadError) throw error;
    throw new PayloadError(messageOf(error), {
      cause: error,
    });
  }
}

/** @throws {PayloadError} where the record cannot be written into a request. */
function requireSendable({ key, value, headers = [] }: OwnRecord): void {
  const bytes = recordBytesMax({ key, value, headers });
  if (bytes > RECORD_BYTES_MAX) {
    throw new PayloadError(
      `a record has ${inBytes(bytes)}; no more than ${inBytes(RECORD_BYTES_MAX)} can be sent`,
    );
  }
}

async function opened<Source>(
  { option, path }: { readonly option: string; readonly path: string },
  open: () => Source | Promise<Source>,
): Promise<Source> {
  try {
    return await open();
  } catch (error) {
    throw new UsageError(`${option} "${path}" cannot be used: ${reasonOf(error, option, path)}`, {
      cause: error,
    });
  }
}

function reasonOf(error: unknown, option: string, path: string): string {
  if (error instanceof Deno.errors.NotCapable) {
    return "the program may read below the working directory only, as its --allow-read says. " +
      `Run it as: deno run --no-prompt --allow-net --allow-read=.,"${resolve(path)}" ` +
      `--allow-write=logs --allow-env="NODE_ENV,INIT_CWD,KAFKA_*,KAFKAJS_*" producer.ts ` +
      `${option} "${path}"`;
  }
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  return stripVTControlCharacters(messageOf(error));
}
