/**
 * The receiver of a file's lines.
 */

/** Receives lines as they are read. Takes them back if the file turns out to be another one. */
export interface LineSink {
  /** A new file begins: lines delivered before are final. */
  begin(): void;
  /** Forgets every line since {@link begin}: the file was cut and is read again. */
  rewind(): void;
  /**
   * Receives the line in `bytes[start]` to `bytes[end - 1]`, without the newline. The bytes are valid until {@link
   * settle}. `whole` is false if no newline ended it: the last bytes of a closed file, or a line longer than the
   * bound.
   */
  line(bytes: Uint8Array, start: number, end: number, whole: boolean): void;
  /** Called before the bytes of the lines so far are reused. */
  settle(): void;
}

const ENCODER = new TextEncoder();

/** Counts a file that cannot be read as one unreadable line, whose text is the reason. */
export function deliverProblem(sink: LineSink, problem: string): void {
  const line = ENCODER.encode(problem);
  sink.line(line, 0, line.length, false);
  sink.settle();
}
