/**
 * Reads the end of a large journal before all of it is counted, to show the current state at once.
 */

import type { LineSink } from "./line_sink.ts";
import { TAIL_FILES } from "./tail_files.ts";

/** A few hundred order lines, read and scanned in a few milliseconds. */
const LATEST_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/**
 * Delivers the last whole lines of a file, oldest first; none if the file is missing or its lines are longer.
 *
 * @throws {UnreadableError} if it exists and cannot be read.
 */
export function readLatestLines(path: string, sink: LineSink): void {
  const file = TAIL_FILES.open(path);
  if (file === undefined) return;
  try {
    const position = Math.max(0, file.size() - LATEST_BYTES);
    const bytes = file.peek(LATEST_BYTES, position);
    // The first line may be incomplete, unless it is the file's first.
    let start = position === 0 ? 0 : bytes.indexOf(NEWLINE) + 1;
    if (start === 0 && position > 0) return;
    for (;;) {
      const end = bytes.indexOf(NEWLINE, start);
      if (end === -1) break;
      sink.line(bytes, start, end, true);
      start = end + 1;
    }
    sink.settle();
  } finally {
    file.close();
  }
}
