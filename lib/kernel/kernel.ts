/**
 * The kernel: a small WebAssembly module that does to bytes what would take an object a record here.
 *
 *     a record batch -> checksum -> are its records whole?                          CRC-32C, areRecords
 *     its records    -> does the value follow the schema's plan? -> journal lines    lineWriter
 *
 * It knows neither the batch's header, nor the journal's fields, nor the schema: records by their form, and texts and
 * plans that it is given. Whatever it does not take (a value that may break the schema, bytes that are not UTF-8, what is
 * too large) it leaves to the caller. It keeps nothing from one call to the next that a caller has to know of.
 */

import { lineWriter } from "./lines.ts";
import { KERNEL_BASE64 } from "./module.ts";

/** Where the areas of the memory begin, how large they are, and what `writeLines` did. */
type KernelNumber =
  | `INPUT${"" | "_BYTES"}`
  | `PLAN${"" | "_BYTES"}`
  | `TEXT${"S" | "_BYTES"}`
  | `ROW${"S" | "_BYTES"}`
  | "OUTPUT"
  | "outputLength"
  | "position"
  | "recordsLeft"
  | "resumeAt"
  | "rowCount";

/** The module's exports; each call takes its input from the memory. */
export interface KernelExports extends Readonly<Record<KernelNumber, WebAssembly.Global>> {
  readonly memory: WebAssembly.Memory;
  crc32c(crc: number, length: number): number;
  areRecords(length: number, count: number): number;
  isSure(length: number): number;
  writeLines(
    length: number,
    position: number,
    recordsLeft: number,
    baseOffset: number,
    timestamp: bigint,
    isAppendTime: boolean,
    start: number,
    isOrder: boolean,
  ): number;
}

const CRC_BYTES_A_CALL = 256 * 1024;

class Kernel {
  readonly module: WebAssembly.Module;
  readonly lineWriter: ReturnType<typeof lineWriter>;
  readonly #exports: KernelExports;
  readonly #memory: Uint8Array;

  constructor() {
    this.module = new WebAssembly.Module(Uint8Array.fromBase64(KERNEL_BASE64));
    const { exports } = new WebAssembly.Instance(this.module);
    // The one parse boundary: the module's test compares it with its source.
    this.#exports = exports as unknown as KernelExports;
    this.#memory = new Uint8Array(this.#exports.memory.buffer);
    this.lineWriter = lineWriter(this.#exports);
  }

  /** How many bytes {@link areRecords} and {@link lineWriter} take at most. */
  get inputBytesMax(): number {
    return this.#exports.INPUT_BYTES.value;
  }

  /** Returns the CRC-32C of bytes of any length, as an unsigned number. */
  crc32c(bytes: Uint8Array): number {
    let crc = 0;
    for (let at = 0; at < bytes.length; at += CRC_BYTES_A_CALL) {
      const part = bytes.subarray(at, at + CRC_BYTES_A_CALL);
      this.#load(part, "INPUT");
      crc = this.#exports.crc32c(crc, part.length);
    }
    return crc >>> 0;
  }

  /** Reports whether bytes are exactly that many whole records. */
  areRecords(bytes: Uint8Array, count: number): boolean {
    this.#load(bytes, "INPUT");
    return this.#exports.areRecords(bytes.length, count) !== 0;
  }

  /** Reports whether a value is UTF-8 and certainly follows a plan. */
  isSure(value: Uint8Array, plan: Uint8Array): boolean {
    if (value.length > this.inputBytesMax) return false;
    this.#load(value, "INPUT");
    this.#load(plan, "PLAN");
    return this.#exports.isSure(value.length) !== 0;
  }

  #load(bytes: Uint8Array, area: "INPUT" | "PLAN"): void {
    if (bytes.length > this.#exports[`${area}_BYTES`].value) {
      throw new RangeError(`${bytes.length} bytes are too many for the kernel`);
    }
    this.#memory.set(bytes, this.#exports[area].value);
  }
}

let instance: Kernel | undefined;

/** Returns this thread's kernel. */
export function kernel(): Kernel {
  instance ??= new Kernel();
  return instance;
}
