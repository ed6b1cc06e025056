/**
 * The messages of errors.
 */

/** Returns the message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Returns an error's message without what the runtime adds to the operating system's words. Never throws. */
export function systemReasonOf(error: unknown): string {
  return messageOf(error).replace(/ \(os error \d+\)(?:: \w+ '.*')?$/s, "");
}
