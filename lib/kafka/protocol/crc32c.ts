/**
 * CRC-32C (Castagnoli, RFC 3720 B.4), which guards every record batch.
 *
 * @module
 */

import { crc32c as signedCrc32c } from "@platformatic/wasm-utils/bundled";

/** The checksum of the bytes, as an unsigned number. Takes about 1 ms a MB. */
export function crc32c(bytes: Uint8Array): number {
  return signedCrc32c(bytes) >>> 0;
}
