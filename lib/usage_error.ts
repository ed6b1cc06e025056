/**
 * The error for invalid command lines and settings.
 */

/** Thrown for an invalid command line or setting; the program exits with code 2. The message says what is valid. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
