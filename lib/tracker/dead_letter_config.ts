/**
 * Settings of a new dead-letter topic.
 */

const LONG_MAX = "9223372036854775807";

/** Without this setting a letter could expire at once, because it has its record's old timestamp. */
export const KEEPS_OLD_RECORDS = { "retention.ms": "-1" } as const;

/** Keeps letters forever, and accepts any timestamp. */
export const DEAD_LETTER_TOPIC_CONFIG = {
  ...KEEPS_OLD_RECORDS,
  "message.timestamp.before.max.ms": LONG_MAX,
  "message.timestamp.after.max.ms": LONG_MAX,
} as const;
