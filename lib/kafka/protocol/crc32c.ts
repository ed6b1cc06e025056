/**
 * CRC-32C (Castagnoli, RFC 3720 B.4), which guards every record batch.
 */

import { kernel } from "../../kernel/kernel.ts";

/** Returns the checksum of the bytes, as an unsigned number. */
export function crc32c(bytes: Uint8Array): number {
  return kernel().crc32c(bytes);
}
