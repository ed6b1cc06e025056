/**
 * Bounds how many lines of one kind a person is shown.
 */

import type { LogRecord, Sink } from "@logtape/logtape";

const SECOND_MS = 1_000;

export interface LimitOptions {
  /** Reports whether a record counts; others pass. */
  readonly isLimited: (record: LogRecord) => boolean;
  readonly perSecondMax: number;
  /** Returns the message for records that were left out. */
  readonly summary: (count: number) => string;
  readonly now?: () => number;
}

/** Passes the first records of each second on, and says how many more there were when it is over. */
export function limitedSink(
  sink: Sink,
  { isLimited, perSecondMax, summary, now = () => performance.now() }: LimitOptions,
): Sink & Disposable {
  let startedAtMs = -Infinity;
  let count = 0;
  let last: LogRecord | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const endSecond = () => {
    clearTimeout(timer);
    timer = undefined;
    const leftOut = count - perSecondMax;
    count = 0;
    if (last === undefined || leftOut <= 0) return;
    const text = summary(leftOut);
    sink({ ...last, message: [text], rawMessage: text, properties: {} });
  };
  const limited = (record: LogRecord) => {
    if (!isLimited(record)) return sink(record);
    if (now() - startedAtMs >= SECOND_MS) {
      endSecond();
      startedAtMs = now();
    }
    count++;
    last = record;
    if (count <= perSecondMax) return sink(record);
    if (timer === undefined) {
      timer = setTimeout(endSecond, SECOND_MS);
      Deno.unrefTimer(timer);
    }
  };
  return Object.assign(limited, { [Symbol.dispose]: endSecond });
}
