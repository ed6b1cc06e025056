/**
 * Splits an append at the end of a line, so that each part fits into a segment.
 */

import type { JournalAppend } from "./append_queue.ts";
import type { Interval } from "./intervals.ts";
import { quickClassify } from "./line_scan.ts";

/**
 * Splits off the first lines that fit into `bytesMax`; at least one line, however long it is. Held offsets between
 * two lines go with the later line, as do epochs. Returns undefined if nothing is left over, or if the last line
 * that fits is not a record: then it is unknown where its offsets end.
 */
export function splitAppend(
  { intervals, lines, lineEnds, ...common }: JournalAppend,
  bytesMax: number,
): readonly [head: JournalAppend, tail: JournalAppend] | undefined {
  const count = Math.max(1, fittingCount(lineEnds, bytesMax));
  if (count >= lineEnds.length) return undefined;
  const cut = lineEnds[count - 1] ?? 0;
  const last = quickClassify(lines.subarray(lineEnds[count - 2] ?? 0, cut - 1));
  if (last.kind !== "record") return undefined;
  const boundary = last.offset + 1;
  const head = {
    ...common,
    intervals: clipped(intervals, { start: 0, end: boundary }),
    lines: lines.subarray(0, cut),
    lineEnds: Array.from({ length: count }, (_, index) => lineEnds[index] ?? 0),
  };
  const tail = {
    ...common,
    intervals: clipped(intervals, { start: boundary, end: Infinity }),
    lines: lines.subarray(cut),
    lineEnds: Array.from(
      { length: lineEnds.length - count },
      (_, index) => (lineEnds[count + index] ?? 0) - cut,
    ),
  };
  return [head, tail];
}

function fittingCount(lineEnds: ArrayLike<number>, bytesMax: number): number {
  let low = 0;
  let high = lineEnds.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((lineEnds[middle - 1] ?? 0) <= bytesMax) low = middle;
    else high = middle - 1;
  }
  return low;
}

function clipped(intervals: readonly Interval[], { start, end }: Interval): readonly Interval[] {
  return intervals.flatMap((interval) => {
    const part = { start: Math.max(interval.start, start), end: Math.min(interval.end, end) };
    return part.start < part.end ? [part] : [];
  });
}
