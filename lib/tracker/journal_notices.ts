/**
 * What the journal has to say, as lines of the technical log.
 *
 * @module
 */

import type { Logger } from "../log.ts";
import type { JournalNotice } from "../journal/notice.ts";

export function logJournalNotice(log: Logger, { kind, ...details }: JournalNotice): void {
  const properties = "error" in details ? { ...details, error: details.error } : details;
  switch (kind) {
    case "created":
      return log.info("A new journal was begun", properties);
    case "rebuilt":
      return log.warn(
        "The checkpoint could not be trusted; what the journal holds was read from its files",
        properties,
      );
    case "cut":
      return log.warn(
        "The journal ended in a torn line, which was cut off and kept aside",
        properties,
      );
    case "foreign lines":
      return log.warn(
        "The journal has lines that are no records; they are left as they are",
        properties,
      );
    case "repeated lines":
      return log.warn("The journal has records more than once", properties);
    case "rotated":
      return log.info("The journal began a new segment", properties);
    case "sealed":
      return log.info("A journal segment has its manifest", properties);
    case "compressed":
      return log.info("A journal segment was compressed", properties);
    case "removed":
      return log.info("A journal segment was removed for its age", properties);
    case "segment changed":
      return log.error(
        "A journal segment is not what its manifest says; it is left as it is",
        properties,
      );
    case "upkeep failed":
      return log.warn(
        "Closed journal segments cannot be looked after; it is tried again",
        properties,
      );
    case "stalled":
      return log.error(
        "The journal cannot be written; nothing is committed until it can",
        properties,
      );
    case "recovered":
      return log.warn("The journal can be written again", properties);
    case "reopened":
      return log.error(
        "The journal's files were changed by another hand, and were read again",
        properties,
      );
    case "checkpoint failed":
      return log.warn("The checkpoint cannot be written; the next start reads more", properties);
  }
}
