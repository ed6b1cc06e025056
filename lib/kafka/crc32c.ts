/**
 * CRC-32C (Castagnoli, RFC 3720 B.4), which guards every record batch; neither the runtime nor the client
 * brings one that is fast.
 *
 * @module
 */

const POLYNOMIAL_REVERSED = 0x82f63b78;
const TABLE_SIZE = 256;
/** Bytes taken in one step, each with a table of its own ("slicing by 8"): 1 GB/s and more. */
const SLICE_BYTES = 8;

const TABLES: Int32Array = createTables();

/** The checksum of the bytes, as an unsigned number. */
export function crc32c(bytes: Uint8Array): number {
  const tables = TABLES;
  const slicedEnd = bytes.length - (bytes.length % SLICE_BYTES);
  let crc = -1;
  let index = 0;
  for (; index < slicedEnd; index += SLICE_BYTES) {
    const low = crc ^ (
      at(bytes, index) | at(bytes, index + 1) << 8 | at(bytes, index + 2) << 16 |
      at(bytes, index + 3) << 24
    );
    crc = at(tables, 7 * TABLE_SIZE + (low & 0xff)) ^
      at(tables, 6 * TABLE_SIZE + (low >>> 8 & 0xff)) ^
      at(tables, 5 * TABLE_SIZE + (low >>> 16 & 0xff)) ^
      at(tables, 4 * TABLE_SIZE + (low >>> 24)) ^
      at(tables, 3 * TABLE_SIZE + at(bytes, index + 4)) ^
      at(tables, 2 * TABLE_SIZE + at(bytes, index + 5)) ^
      at(tables, TABLE_SIZE + at(bytes, index + 6)) ^
      at(tables, at(bytes, index + 7));
  }
  for (; index < bytes.length; index++) {
    crc = at(tables, (crc ^ at(bytes, index)) & 0xff) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

function at(array: Uint8Array | Int32Array, index: number): number {
  return array[index] ?? 0;
}

function createTables(): Int32Array {
  const tables = new Int32Array(SLICE_BYTES * TABLE_SIZE);
  for (let byte = 0; byte < TABLE_SIZE; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL_REVERSED : crc >>> 1;
    tables[byte] = crc;
  }
  for (let index = TABLE_SIZE; index < tables.length; index++) {
    const previous = at(tables, index - TABLE_SIZE);
    tables[index] = at(tables, previous & 0xff) ^ (previous >>> 8);
  }
  return tables;
}
