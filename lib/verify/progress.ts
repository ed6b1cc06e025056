/**
 * Reports a verification's progress separately from its result: as a status line on a terminal, otherwise as lines on
 * standard error.
 */

import { printErrorLine, showStatus } from "../terminal.ts";
import { withThousands } from "../text.ts";
import type { VerifyProgress } from "./compare.ts";

const LINE_INTERVAL_MS = 5_000;

const DESCRIPTIONS: Readonly<Record<VerifyProgress["phase"], readonly [string, string]>> = {
  topic: ["reading the topic", "offsets"],
  journal: ["reading the journal", "bytes"],
  manifests: ["checking closed segments", "segments"],
  differences: ["comparing what differs", "pages"],
};

/** Returns a line such as `verify: reading the topic, 1,024 of 4,096 offsets`. */
export function describeProgress({ phase, done, total }: VerifyProgress): string {
  const [doing, unit] = DESCRIPTIONS[phase];
  return `verify: ${doing}, ${withThousands(done)} of ${withThousands(total)} ${unit}`;
}

/**
 * Returns a function that shows progress.
 *
 * @param isStatus whether standard output is a terminal, which also shows the result. Otherwise a line is printed at
 * the start of each phase, and every 5 seconds.
 */
export function progressReporter(
  { isStatus }: { readonly isStatus: boolean },
): (progress: VerifyProgress) => void {
  let last: { readonly phase: string; readonly at: number } | undefined;
  return (progress) => {
    if (isStatus) return showStatus(describeProgress(progress));
    const at = performance.now();
    if (progress.phase === last?.phase && at - last.at < LINE_INTERVAL_MS) return;
    last = { phase: progress.phase, at };
    printErrorLine(describeProgress(progress));
  };
}
