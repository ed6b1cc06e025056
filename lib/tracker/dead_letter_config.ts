/**
 * The settings with which a dead-letter topic is created.
 *
 * @module
 */

const LONG_MAX = "9223372036854775807";

/** The setting without which a letter expires at once: it keeps its record's old timestamp. */
export const KEEPS_OLD_RECORDS = { "retention.ms": "-1" } as const;

/** The settings of a new dead-letter topic: it keeps letters for ever, and accepts any timestamp. */
export const DEAD_LETTER_TOPIC_CONFIG = {
  ...KEEPS_OLD_RECORDS,
  "message.timestamp.before.max.ms": LONG_MAX,
  "message.timestamp.after.max.ms": LONG_MAX,
} as const;
