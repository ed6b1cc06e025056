/**
 * The kernel: a small WebAssembly module that does to bytes what would take an object a record here.
 *
 *     a record batch -> checksum -> are its records whole?                          CRC-32C, areRecords
 *     its records    -> does the value follow the schema's plan? -> journal lines    writeLines
 *
 * It knows neither the batch's header, nor the journal's fields, nor the schema: records by their form, and texts and
 * plans that it is given. Whatever it does not take (a value that may break the schema, bytes that are not UTF-8, what is
 * too large) it leaves to the caller. It keeps nothing from one call to the next that a caller has to know of.
 *
 * @module
 */

import { KERNEL_BASE64 } from "./module.ts";

/** Records of one batch, after decompression, which {@link Kernel.areRecords} found to be whole. */
export interface RecordsSource {
  readonly bytes: Uint8Array;
  readonly baseOffset: number;
  /** The batch's timestamp: the base of the records' timestamps, or the broker's, which replaces them. */
  readonly timestamp: bigint;
  readonly isAppendTime: boolean;
}

/** A place between two records. */
export interface RecordsPlace {
  /** In bytes. */
  readonly position: number;
  readonly recordsLeft: number;
}

/** How lines are to be written. */
export interface LineOptions {
  /** A line's text between its values, in the order of `lineTexts` in `lib/journal/line.ts`. */
  readonly texts: readonly Uint8Array[];
  /** Plan that values must follow; they then appear in the line a second time. Undefined accepts any value. */
  readonly plan: Uint8Array | undefined;
  /** Records before this offset are left out. */
  readonly start: number;
}

/** Lines that one call wrote, to be copied before the next call. */
export interface WrittenLines extends RecordsPlace {
  readonly lines: Uint8Array;
  readonly lineCount: number;
  /** Timestamp of line `index` at `2 * index`. */
  readonly timestamps: Float64Array;
  /** End of line `index` in `lines` at `4 * index + 2`. */
  readonly lineEnds: Uint32Array;
  /** True if the caller has to write the record at this place. */
  readonly isStopped: boolean;
}

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
  | "rowCount";

interface KernelExports extends Readonly<Record<KernelNumber, WebAssembly.Global>> {
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

const STOPPED = 1;
const BROKEN = 3;
const CRC_BYTES_A_CALL = 256 * 1024;

/** A call's arguments stay in the kernel's memory; if the next call has the same, they are not copied again. */
class Kernel {
  readonly #exports: KernelExports;
  readonly #memory: Uint8Array;
  #input: Uint8Array | undefined;
  #plan: Uint8Array | undefined;
  #texts: readonly Uint8Array[] | undefined;

  constructor() {
    const module = new WebAssembly.Module(Uint8Array.fromBase64(KERNEL_BASE64));
    const { exports } = new WebAssembly.Instance(module);
    // The one parse boundary: the module's test compares it with its source.
    this.#exports = exports as unknown as KernelExports;
    this.#memory = new Uint8Array(this.#exports.memory.buffer);
  }

  /** How many bytes {@link areRecords} and {@link writeLines} take at most. */
  get inputBytesMax(): number {
    return this.#exports.INPUT_BYTES.value;
  }

  /** Returns the CRC-32C of bytes of any length, as an unsigned number. */
  crc32c(bytes: Uint8Array): number {
    const { INPUT } = this.#exports;
    let crc = 0;
    for (let at = 0; at < bytes.length; at += CRC_BYTES_A_CALL) {
      const part = bytes.subarray(at, at + CRC_BYTES_A_CALL);
      this.#memory.set(part, INPUT.value);
      crc = this.#exports.crc32c(crc, part.length);
    }
    this.#input = undefined;
    return crc >>> 0;
  }

  /** Reports whether bytes are exactly that many whole records. */
  areRecords(bytes: Uint8Array, count: number): boolean {
    this.#input = undefined;
    this.#load(bytes);
    return this.#exports.areRecords(bytes.length, count) !== 0;
  }

  /** Reports whether a value is UTF-8 and certainly follows a plan. */
  isSure(value: Uint8Array, plan: Uint8Array): boolean {
    if (value.length > this.inputBytesMax) return false;
    this.#input = undefined;
    this.#load(value);
    this.#loadPlan(plan);
    return this.#exports.isSure(value.length) !== 0;
  }

  /**
   * Writes the lines of the records from a place on: at most half a megabyte, and not that of a record that it leaves to
   * the caller.
   */
  writeLines(
    source: RecordsSource,
    { position, recordsLeft }: RecordsPlace,
    { texts, plan, start }: LineOptions,
  ): WrittenLines {
    const { bytes, baseOffset, timestamp, isAppendTime } = source;
    this.#load(bytes);
    this.#loadTexts(texts);
    if (plan !== undefined) this.#loadPlan(plan);
    const outcome = this.#exports.writeLines(
      bytes.length,
      position,
      recordsLeft,
      baseOffset,
      timestamp,
      isAppendTime,
      start,
      plan !== undefined,
    );
    if (outcome === BROKEN) throw new RangeError("a record ends past its batch");
    const { OUTPUT, ROWS, ROW_BYTES, rowCount, outputLength } = this.#exports;
    const { buffer } = this.#memory;
    const rowBytes = rowCount.value * ROW_BYTES.value;
    return {
      lines: this.#memory.subarray(OUTPUT.value, OUTPUT.value + outputLength.value),
      lineCount: rowCount.value,
      timestamps: new Float64Array(buffer, ROWS.value, rowBytes / 8),
      lineEnds: new Uint32Array(buffer, ROWS.value, rowBytes / 4),
      position: this.#exports.position.value,
      recordsLeft: this.#exports.recordsLeft.value,
      isStopped: outcome === STOPPED,
    };
  }

  #load(bytes: Uint8Array): void {
    if (this.#input !== bytes) this.#copy(bytes, "INPUT");
    this.#input = bytes;
  }

  #loadPlan(plan: Uint8Array): void {
    if (this.#plan !== plan) this.#copy(plan, "PLAN");
    this.#plan = plan;
  }

  #copy(bytes: Uint8Array, area: "INPUT" | "PLAN"): void {
    if (bytes.length > this.#exports[`${area}_BYTES`].value) {
      throw new RangeError(`${bytes.length} bytes are too many for the kernel`);
    }
    this.#memory.set(bytes, this.#exports[area].value);
  }

  #loadTexts(texts: readonly Uint8Array[]): void {
    if (this.#texts === texts) return;
    const { TEXTS, TEXT_BYTES } = this.#exports;
    const view = new DataView(this.#memory.buffer, TEXTS.value, TEXT_BYTES.value);
    let at = texts.length * 8;
    texts.forEach((text, index) => {
      if (at + text.length > TEXT_BYTES.value) throw new RangeError("the texts are too large");
      view.setUint32(index * 8, at, true);
      view.setUint32(index * 8 + 4, text.length, true);
      this.#memory.set(text, TEXTS.value + at);
      at += text.length;
    });
    this.#texts = texts;
  }
}

let instance: Kernel | undefined;

/** Returns this thread's kernel. */
export function kernel(): Kernel {
  instance ??= new Kernel();
  return instance;
}
