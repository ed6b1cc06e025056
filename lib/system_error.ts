/**
 * Words for the operating system's errors.
 *
 * @module
 */

/** Returns an error's message without what the runtime adds to the operating system's words. Never throws. */
export function systemReasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/ \(os error \d+\)(?:: \w+ '.*')?$/s, "");
}
