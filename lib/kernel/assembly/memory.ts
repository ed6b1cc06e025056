// @ts-nocheck AssemblyScript
// The kernel's memory, which never grows, so that the host's views of it stay valid. The module's own constants are
// below TABLES. Every area has room behind it for the 16 bytes that a SIMD load or store may reach past an end.

const TABLES: usize = 0x2000;
export const SHUFFLES: usize = TABLES;
export const SHUFFLED_LENGTHS: usize = SHUFFLES + 0x1000;
export const DIGITS_END: usize = SHUFFLED_LENGTHS + 0x180;
export const STACK: usize = SHUFFLED_LENGTHS + 0x200;
export const CRC_TABLES: usize = 0x4000;

/** The rules for values, compiled by the host. */
export const PLAN: usize = 0x8000;
export const PLAN_BYTES: usize = 0x8000;

/** The texts between a line's values: address and length of each, then the texts. */
export const TEXTS: usize = PLAN + PLAN_BYTES;
export const TEXT_BYTES: usize = 0x10000;

/** For each written line, the record's timestamp (f64) and the end of the line (u32, padded to 8 bytes). */
export const ROWS: usize = TEXTS + TEXT_BYTES;
export const ROWS_MAX: i32 = 4096;
export const ROW_BYTES: usize = 16;

export const INPUT: usize = ROWS + <usize> ROWS_MAX * ROW_BYTES;
export const INPUT_BYTES: usize = 4 << 20;

export const OUTPUT: usize = INPUT + INPUT_BYTES + 0x100;
export const OUTPUT_BYTES: usize = 8 << 20;
/** A call ends at the first line beyond this: what it wrote is still in the processor's cache. */
export const OUTPUT_BYTES_A_CALL: usize = 512 << 10;
