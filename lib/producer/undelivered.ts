/**
 * Orders that did not arrive for certain, kept in a file so that nothing is lost with the process: JSON
 * Lines of `{timestamp, fate, reason, partition, key, order}`, `fate` being `failed`, `undelivered` or
 * `unknown`. A record that was spoilt on purpose has `value_base64` and `bad`, its kind, in place of
 * `order`; a record of the user's own has `record`: its bytes in base64, and the headers that its source gave it. An order whose fate is unknown may be in the topic: look for its `order_id` before it is
 * sent again.
 */

import { dirname } from "node:path";
import type { DeliveryReport, PlannedRecord } from "./delivery.ts";
import { LineFile, type LineFileOptions } from "./line_file.ts";

const DECODER = new TextDecoder();

export class UndeliveredFile extends LineFile {
  /** The file is made when the first line is written. */
  constructor(path: string, options: Pick<LineFileOptions, "onFailure" | "onRecovery">) {
    super({ ...options, collectedCharsMax: 0, open: () => openFile(path) });
  }

  /** Adds a line for an order that was not acknowledged, and writes it at once. */
  add({ record, outcome }: DeliveryReport): void {
    if (outcome.kind === "acknowledged") return;
    this.addLine(
      `{"timestamp":"${new Date().toISOString()}","fate":"${outcome.kind}"` +
        `,"reason":${JSON.stringify(outcome.reason)},"partition":${record.partition}` +
        `,"key":${JSON.stringify(record.key === null ? null : DECODER.decode(record.key))}` +
        `,${contentOf(record)}}`,
    );
  }
}

/** It holds customers' data, so it is for its owner alone. */
function openFile(path: string): Deno.FsFile {
  Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  return Deno.openSync(path, { read: true, append: true, create: true, mode: 0o600 });
}

/** Corrupted values and the user's own may not be JSON, and would break the line. */
function contentOf(record: PlannedRecord): string {
  const { value, bad, isOwn } = record;
  if (isOwn) return `"record":${JSON.stringify(ownRecord(record))}`;
  if (bad !== undefined) return `"bad":"${bad}","value_base64":"${value?.toBase64() ?? ""}"`;
  return `"order":${DECODER.decode(value ?? new Uint8Array())}`;
}

function ownRecord({ key, value, headers = [] }: PlannedRecord): object {
  return {
    key_base64: key?.toBase64() ?? null,
    value_base64: value?.toBase64() ?? null,
    headers: headers.map((header) => ({
      key: header.key,
      value_base64: header.value?.toBase64() ?? null,
    })),
  };
}
