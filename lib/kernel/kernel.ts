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
  /** That of the batch: the base of the records' own, or the broker's, which replaces them. */
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
  /** What values have to follow; they then stand in the line a second time. Undefined takes any. */
  readonly plan: Uint8Array | undefined;
  /** Records before this offset are left out. */
  readonly start: number;
}

/** Lines that one call wrote, to be copied before the next call. */
export interface WrittenLines extends RecordsPlace {
  readonly lines: Uint8Array;
  readonly lineCount: number;
  /** Of line `index`: the timestamp at `2 * index`. */
  readonly timestamps: Float64Array;
  /** Of line `index`: where it ends in `lines`, at `4 * index + 2`. */
  readonly lineEnds: Uint32Array;
  /** Whether the record at this place is the caller's to write. */
  readonly isStopped: boolean;
}

interface KernelExports {
  readonly memory: WebAssembly.Memory;
  readonly position: WebAssembly.Global;
  readonly recordsLeft: WebAssembly.Global;
  readonly outputLength: WebAssembly.Global;
  readonly rowCount: WebAssembly.Global;
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

type Area = "INPUT" | "OUTPUT" | "PLAN" | "ROWS" | "TEXTS";
type AreaSize = "INPUT_BYTES" | "PLAN_BYTES" | "TEXT_BYTES" | "ROW_BYTES";

const STOPPED = 1;
const BROKEN = 3;
const CRC_BYTES_A_CALL = 256 * 1024;

/** What a call was given stays in the kernel's memory; if the next is given the same, it is not copied again. */
class Kernel {
  readonly #exports: KernelExports;
  readonly #memory: Uint8Array;
  readonly #sizes: Readonly<Record<Area | AreaSize, number>>;
  #input: Uint8Array | undefined;
  #plan: Uint8Array | undefined;
  #texts: readonly Uint8Array[] | undefined;

  constructor() {
    const module = new WebAssembly.Module(Uint8Array.fromBase64(KERNEL_BASE64));
    const { exports } = new WebAssembly.Instance(module);
    // The one parse boundary: the module's test compares it with its source.
    this.#exports = exports as unknown as KernelExports;
    this.#memory = new Uint8Array(this.#exports.memory.buffer);
    const sizeOf = (name: Area | AreaSize) =>
      Number((exports[name] as WebAssembly.Global | undefined)?.value);
    this.#sizes = {
      INPUT: sizeOf("INPUT"),
      INPUT_BYTES: sizeOf("INPUT_BYTES"),
      OUTPUT: sizeOf("OUTPUT"),
      PLAN: sizeOf("PLAN"),
      PLAN_BYTES: sizeOf("PLAN_BYTES"),
      ROWS: sizeOf("ROWS"),
      ROW_BYTES: sizeOf("ROW_BYTES"),
      TEXTS: sizeOf("TEXTS"),
      TEXT_BYTES: sizeOf("TEXT_BYTES"),
    };
  }

  /** So many bytes {@link areRecords}, {@link isSure}, and {@link writeLines} take at most. */
  get inputBytesMax(): number {
    return this.#sizes.INPUT_BYTES;
  }

  /** Returns the CRC-32C of bytes of any length, as an unsigned number. */
  crc32c(bytes: Uint8Array): number {
    let crc = 0;
    for (let at = 0; at < bytes.length; at += CRC_BYTES_A_CALL) {
      const part = bytes.subarray(at, at + CRC_BYTES_A_CALL);
      this.#memory.set(part, this.#sizes.INPUT);
      crc = this.#exports.crc32c(crc, part.length);
    }
    this.#input = undefined;
    return crc >>> 0;
  }

  /** Whether bytes are that many records, whole, and nothing else. */
  areRecords(bytes: Uint8Array, count: number): boolean {
    this.#input = undefined;
    this.#load(bytes);
    return this.#exports.areRecords(bytes.length, count) !== 0;
  }

  /** Whether a value is UTF-8 and surely follows a plan. */
  isSure(value: Uint8Array, plan: Uint8Array): boolean {
    if (value.length > this.#sizes.INPUT_BYTES) return false;
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
    const { OUTPUT, ROWS, ROW_BYTES } = this.#sizes;
    const { buffer } = this.#memory;
    const lineCount = this.#exports.rowCount.value;
    return {
      lines: this.#memory.subarray(OUTPUT, OUTPUT + this.#exports.outputLength.value),
      lineCount,
      timestamps: new Float64Array(buffer, ROWS, lineCount * ROW_BYTES / 8),
      lineEnds: new Uint32Array(buffer, ROWS, lineCount * ROW_BYTES / 4),
      position: this.#exports.position.value,
      recordsLeft: this.#exports.recordsLeft.value,
      isStopped: outcome === STOPPED,
    };
  }

  #load(bytes: Uint8Array): void {
    if (this.#input === bytes) return;
    if (bytes.length > this.#sizes.INPUT_BYTES) {
      throw new RangeError("too many bytes for the kernel");
    }
    this.#memory.set(bytes, this.#sizes.INPUT);
    this.#input = bytes;
  }

  #loadPlan(plan: Uint8Array): void {
    if (this.#plan === plan) return;
    if (plan.length > this.#sizes.PLAN_BYTES) throw new RangeError("the plan is too large");
    this.#memory.set(plan, this.#sizes.PLAN);
    this.#plan = plan;
  }

  #loadTexts(texts: readonly Uint8Array[]): void {
    if (this.#texts === texts) return;
    const { TEXTS, TEXT_BYTES } = this.#sizes;
    const view = new DataView(this.#memory.buffer, TEXTS, TEXT_BYTES);
    let at = texts.length * 8;
    texts.forEach((text, index) => {
      if (at + text.length > TEXT_BYTES) throw new RangeError("the texts are too large");
      view.setUint32(index * 8, at, true);
      view.setUint32(index * 8 + 4, text.length, true);
      this.#memory.set(text, TEXTS + at);
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
