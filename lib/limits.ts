/**
 * Size limits shared by writers and readers of a journal.
 */

/** Larger values are journaled as size and SHA-256, because their lines could not be read back. 64 MiB. */
export const VALUE_BYTES_MAX = 64 * 1024 * 1024;

/** The limit for a record's key and headers together, if the record is larger than a megabyte. */
export const DETAILS_BYTES_MAX = 4 * 1024 * 1024;

/**
 * The maximum length of a journal line: a byte of a value takes at most six (`\u0000`), and a JavaScript string holds
 * at most 512 MiB.
 */
export const LINE_BYTES_MAX = 448 * 1024 * 1024;
