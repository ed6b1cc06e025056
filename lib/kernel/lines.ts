/**
 * Writes the journal lines of record batches with the kernel, on this thread or on another (`line_thread.ts`).
 */

import type { KernelExports } from "./kernel.ts";

/** The records of one batch, after decompression, which `Kernel.areRecords` found to be whole. */
export interface SpanLines {
  readonly bytes: Uint8Array;
  readonly recordCount: number;
  readonly baseOffset: number;
  /** The batch's timestamp: the base of the records' timestamps, or the broker's, which replaces them. */
  readonly timestamp: bigint;
  readonly isAppendTime: boolean;
  /** A line's text between its values, in the order of `lineTexts` in `lib/journal/line.ts`. */
  readonly texts: readonly Uint8Array[];
}

export interface LinesJob {
  readonly spans: readonly SpanLines[];
  /** Plan that values must follow; they then appear in the line a second time. Undefined accepts any value. */
  readonly plan: Uint8Array | undefined;
  /** Records before this offset are left out. */
  readonly start: number;
}

/** A record whose line the caller has to write, after the first `lineCount` lines. */
export interface LineGap {
  /** Index of its span, and its position in the span's bytes. */
  readonly span: number;
  readonly position: number;
  readonly lineCount: number;
}

/** The lines of a job, as far as they are written. */
export interface WrittenLines {
  bytes: Uint8Array<ArrayBuffer>;
  byteCount: number;
  /** Where each line ends, past its newline. */
  readonly lineEnds: Uint32Array<ArrayBuffer>;
  /** The timestamp of each line's record, in milliseconds since the epoch. */
  readonly timestampsMs: Float64Array<ArrayBuffer>;
  lineCount: number;
  readonly gaps: LineGap[];
}

/** A line has the value twice, once escaped, which makes it longer by an eighth or so. */
const LINE_BYTES_A_VALUE_BYTE = 2.25;
const LINE_BYTES_BESIDE = 448;

/** Returns about how many bytes the lines of a job take. */
export function lineBytesOf({ spans }: LinesJob): number {
  const recordCount = spans.reduce((sum, span) => sum + span.recordCount, 0);
  const byteCount = spans.reduce((sum, { bytes }) => sum + bytes.length, 0);
  return Math.ceil(byteCount * LINE_BYTES_A_VALUE_BYTE) + recordCount * LINE_BYTES_BESIDE;
}

/** @param bytes where the lines go; replaced by a larger array if they need more. */
export function noLines(
  { spans }: Pick<LinesJob, "spans">,
  bytes: Uint8Array<ArrayBuffer>,
): WrittenLines {
  const lineCountMax = spans.reduce((sum, { recordCount }) => sum + recordCount, 0);
  return {
    bytes,
    byteCount: 0,
    lineEnds: new Uint32Array(lineCountMax),
    timestampsMs: new Float64Array(lineCountMax),
    lineCount: 0,
    gaps: [],
  };
}

/**
 * Returns a function that writes the lines of one span of a job. It throws a RangeError if a record ends past its
 * batch, or the plan or the texts are too large for the kernel.
 *
 * Uses nothing outside itself: its source text is part of a thread's program.
 */
export function lineWriter(
  kernel: KernelExports,
): (job: LinesJob, index: number, written: WrittenLines) => void {
  const STOPPED = 1;
  const BROKEN = 3;
  const ROW_FLOATS = 2;
  const ROW_WORDS = 4;
  const memory = new Uint8Array(kernel.memory.buffer);

  function load(bytes: Uint8Array, area: "INPUT" | "PLAN"): void {
    if (bytes.length > kernel[`${area}_BYTES`].value) {
      throw new RangeError(`${bytes.length} bytes are too many for the kernel`);
    }
    memory.set(bytes, kernel[area].value);
  }

  function loadTexts(texts: readonly Uint8Array[]): void {
    const { TEXTS, TEXT_BYTES } = kernel;
    const view = new DataView(memory.buffer, TEXTS.value, TEXT_BYTES.value);
    let at = texts.length * 8;
    texts.forEach((text, index) => {
      if (at + text.length > TEXT_BYTES.value) throw new RangeError("the texts are too large");
      view.setUint32(index * 8, at, true);
      view.setUint32(index * 8 + 4, text.length, true);
      memory.set(text, TEXTS.value + at);
      at += text.length;
    });
  }

  /** Copies what the kernel wrote, before its next call. */
  function take(written: WrittenLines): void {
    const start = written.byteCount;
    const end = start + kernel.outputLength.value;
    if (end > written.bytes.length) {
      const larger = new Uint8Array(Math.max(end, written.bytes.length * 2));
      larger.set(written.bytes.subarray(0, start));
      written.bytes = larger;
    }
    const output = kernel.OUTPUT.value;
    written.bytes.set(memory.subarray(output, output + end - start), start);
    written.byteCount = end;
    const rowCount = kernel.rowCount.value;
    const rows = kernel.ROWS.value;
    const timestamps = new Float64Array(memory.buffer, rows, rowCount * ROW_FLOATS);
    const lineEnds = new Uint32Array(memory.buffer, rows, rowCount * ROW_WORDS);
    for (let row = 0; row < rowCount; row++) {
      written.timestampsMs[written.lineCount] = timestamps[row * ROW_FLOATS] ?? 0;
      written.lineEnds[written.lineCount++] = start + (lineEnds[row * ROW_WORDS + 2] ?? 0);
    }
  }

  return ({ spans, plan, start }, index, written) => {
    const span = spans[index];
    if (span === undefined) throw new RangeError(`the job has no span ${index}`);
    load(span.bytes, "INPUT");
    if (plan !== undefined) load(plan, "PLAN");
    loadTexts(span.texts);
    let position = 0;
    let recordsLeft = span.recordCount;
    while (recordsLeft > 0) {
      const outcome = kernel.writeLines(
        span.bytes.length,
        position,
        recordsLeft,
        span.baseOffset,
        span.timestamp,
        span.isAppendTime,
        start,
        plan !== undefined,
      );
      if (outcome === BROKEN) throw new RangeError("a record ends past its batch");
      take(written);
      position = kernel.position.value;
      recordsLeft = kernel.recordsLeft.value;
      if (outcome !== STOPPED) continue;
      written.gaps.push({ span: index, position, lineCount: written.lineCount });
      position = kernel.resumeAt.value;
      recordsLeft--;
    }
  };
}
