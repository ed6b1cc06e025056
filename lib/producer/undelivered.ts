/**
 * Orders that did not arrive for certain, kept in a file so that nothing is lost with the process: JSON
 * Lines of `{timestamp, fate, reason, partition, key, order}`, `fate` being `failed`, `undelivered` or
 * `unknown`. A record that was spoilt on purpose has `value_base64` and `bad`, its kind, in place of
 * `order`. An order whose fate is unknown may be in the topic: look for its `order_id` before it is
 * sent again.
 *
 * @module
 */

import { dirname } from "node:path";
import type { DeliveryReport, Parcel } from "./delivery.ts";

const DECODER = new TextDecoder();
const ENCODER = new TextEncoder();

export class UndeliveredFile {
  readonly path: string;
  #file: Deno.FsFile | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Adds a line to the file, which is made when the first is needed. */
  add({ parcel, outcome }: DeliveryReport): void {
    if (outcome.kind === "acknowledged") return;
    const file = this.#open();
    const line = `{"timestamp":"${new Date().toISOString()}","fate":"${outcome.kind}"` +
      `,"reason":${JSON.stringify(outcome.reason)},"partition":${parcel.partition}` +
      `,"key":${JSON.stringify(parcel.key === null ? null : DECODER.decode(parcel.key))}` +
      `,${contentOf(parcel)}}\n`;
    let bytes: Uint8Array = ENCODER.encode(line);
    while (bytes.length > 0) bytes = bytes.subarray(file.writeSync(bytes));
  }

  /** Flushes what was written to the disk. */
  close(): void {
    this.#file?.syncDataSync();
    this.#file?.close();
    this.#file = undefined;
  }

  #open(): Deno.FsFile {
    if (this.#file === undefined) {
      Deno.mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      // It holds customers' data, so it is for its owner alone.
      this.#file = Deno.openSync(this.path, { create: true, append: true, mode: 0o600 });
    }
    return this.#file;
  }
}

/** What was spoilt may be no JSON, and would spoil the line. */
function contentOf({ value, bad }: Parcel): string {
  return bad === undefined
    ? `"order":${DECODER.decode(value)}`
    : `"bad":"${bad}","value_base64":"${value.toBase64()}"`;
}
