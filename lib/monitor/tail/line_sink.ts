/**
 * What takes the lines of a file.
 *
 * @module
 */

/** Takes lines as they are read, and takes them back where a file turns out to be another. */
export interface LineSink {
  /** A file begins: what was delivered before stands, whatever happens to this one. */
  begin(): void;
  /** Forget every line since {@link begin}: the file was cut, and is read again. */
  rewind(): void;
  /**
   * A line, `bytes[start]` to `bytes[end - 1]`, newline excluded; the bytes are valid until {@link settle}.
   * `whole` is false where no newline ended it: a closed file's last bytes, or a line longer than the bound.
   */
  line(bytes: Uint8Array, start: number, end: number, whole: boolean): void;
  /** The bytes of the lines so far are about to be reused. */
  settle(): void;
}

const ENCODER = new TextEncoder();

/** Has a file that cannot be read counted as one unreadable line, which says why. */
export function deliverProblem(sink: LineSink, problem: string): void {
  const line = ENCODER.encode(problem);
  sink.line(line, 0, line.length, false);
  sink.settle();
}
