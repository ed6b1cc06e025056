/**
 * Sizes that everyone who writes or reads a journal agrees on.
 *
 * @module
 */

/** A value beyond this is journaled by its size and SHA-256: its line could not be read back. 64 MiB. */
export const VALUE_BYTES_MAX = 64 * 1024 * 1024;

/** The same for a record's key and headers together, where the record is larger than a megabyte. */
export const DETAILS_BYTES_MAX = 4 * 1024 * 1024;

/**
 * No line of ours is longer: a byte of a value takes six at most (`\u0000`), and a JavaScript string holds no more
 * than 512 MiB.
 */
export const LINE_BYTES_MAX = 448 * 1024 * 1024;
