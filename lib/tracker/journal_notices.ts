/**
 * Logs the notices of the journal.
 */

import type { Logger } from "../log.ts";
import type { JournalNotice } from "../journal/notice.ts";

export function logJournalNotice(log: Logger, { kind, ...details }: JournalNotice): void {
  const properties = "error" in details ? { ...details, error: details.error } : details;
  switch (kind) {
    case "created":
      return log.info("A new journal was created", properties);
    case "rebuilt":
      return log.warn(
        "The checkpoint could not be trusted; the journal's files were read instead",
        properties,
      );
    case "cut":
      return log.warn(
        "The journal ended in a torn line; it was moved to a separate file",
        properties,
      );
    case "foreign lines":
      return log.warn(
        "The journal has lines that are not records; they are left unchanged",
        properties,
      );
    case "repeated lines":
      return log.warn("The journal has duplicate records", properties);
    case "rotated":
      return log.info("The journal started a new segment", properties);
    case "sealed":
      return log.info("The manifest of a journal segment was written", properties);
    case "compressed":
      return log.info("A journal segment was compressed", properties);
    case "removed":
      return log.info("A journal segment was removed because of its age", properties);
    case "segment changed":
      return log.error(
        "A journal segment does not match its manifest; it is left unchanged",
        properties,
      );
    case "upkeep failed":
      return log.warn(
        "Maintenance of closed journal segments failed; it is retried",
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
        "The journal's files were modified by another process; they were read again",
        properties,
      );
    case "checkpoint failed":
      return log.warn("The checkpoint cannot be written; the next start takes longer", properties);
  }
}
