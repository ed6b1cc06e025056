// @ts-nocheck AssemblyScript
// CRC-32C (Castagnoli, RFC 3720 B.4), 16 bytes at a time.

import { CRC_TABLES, INPUT } from "./memory.ts";

const POLYNOMIAL: u32 = 0x82f63b78;

function tableEntry(table: usize, byte: u32): usize {
  return CRC_TABLES + (table << 10) + ((<usize> byte & 0xff) << 2);
}

/** Fills a table for each of a byte's 16 possible positions. */
export function fillCrcTables(): void {
  for (let byte: u32 = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    store<u32>(tableEntry(0, byte), crc);
  }
  for (let table: usize = 1; table < 16; table++) {
    for (let byte: u32 = 0; byte < 256; byte++) {
      const crc = load<u32>(tableEntry(table - 1, byte));
      store<u32>(tableEntry(table, byte), (crc >>> 8) ^ load<u32>(tableEntry(0, crc)));
    }
  }
}

function crcOf(table: usize, byte: u32): u32 {
  return load<u32>(tableEntry(table, byte));
}

function crcOfWord(table: usize, word: u32): u32 {
  return crcOf(table, word) ^ crcOf(table - 1, word >>> 8) ^ crcOf(table - 2, word >>> 16) ^
    crcOf(table - 3, word >>> 24);
}

/** Continues the checksum `crc` (0 to begin) with the input. */
export function crc32c(crc: u32, length: usize): u32 {
  let at = INPUT;
  const end = INPUT + length;
  crc = ~crc;
  for (; at + 16 <= end; at += 16) {
    crc = crcOfWord(15, load<u32>(at) ^ crc) ^ crcOfWord(11, load<u32>(at + 4)) ^
      crcOfWord(7, load<u32>(at + 8)) ^ crcOfWord(3, load<u32>(at + 12));
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ crcOf(0, crc ^ load<u8>(at));
  return ~crc;
}
