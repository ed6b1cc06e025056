/**
 * CRC-32C (Castagnoli, RFC 3720 B.4), which guards every record batch; neither the runtime nor the client
 * brings one that is fast.
 *
 * @module
 */

const POLYNOMIAL_REVERSED = 0x82f63b78;
const TABLE_SIZE = 256;
/** Bytes taken in one step, each with a table of its own ("slicing by 16"). */
const SLICE_BYTES = 16;

const TABLES: Int32Array = createTables();

/** The checksum of the bytes, as an unsigned number. */
export function crc32c(bytes: Uint8Array): number {
  const tables = TABLES;
  // A view reads four bytes at once from any place, in a quarter of the time that single ones take.
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const slicedEnd = bytes.length - (bytes.length % SLICE_BYTES);
  let crc = -1;
  let index = 0;
  for (; index < slicedEnd; index += SLICE_BYTES) {
    crc = fourBytes(tables, crc ^ view.getInt32(index, true), 12) ^
      fourBytes(tables, view.getInt32(index + 4, true), 8) ^
      fourBytes(tables, view.getInt32(index + 8, true), 4) ^
      fourBytes(tables, view.getInt32(index + 12, true), 0);
  }
  for (; index < bytes.length; index++) {
    crc = at(tables, (crc ^ view.getUint8(index)) & 0xff) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

/** What four bytes add to the checksum that so many of the slice come after. */
function fourBytes(tables: Int32Array, word: number, bytesAfter: number): number {
  const base = bytesAfter * TABLE_SIZE;
  return at(tables, base + 3 * TABLE_SIZE + (word & 0xff)) ^
    at(tables, base + 2 * TABLE_SIZE + (word >>> 8 & 0xff)) ^
    at(tables, base + TABLE_SIZE + (word >>> 16 & 0xff)) ^
    at(tables, base + (word >>> 24));
}

function at(tables: Int32Array, index: number): number {
  return tables[index] ?? 0;
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
