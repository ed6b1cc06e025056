/**
 * What a user asked for in vain: a program ends with exit code 2 by it.
 *
 * @module
 */

/** The command line or the environment asks for something that cannot be; the message says what would be right. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
