/**
 * Byte offsets of the fields in a record batch's header. All integers are big-endian.
 *
 *     batch    base offset i64 · length i32 · leader epoch i32 · magic i8 (2) · CRC-32C u32 of all that follows
 *              · attributes i16 · last offset delta i32 · base timestamp i64 · max timestamp i64
 *              · producer id i64 · producer epoch i16 · base sequence i32 · record count i32 · records
 *     record   length · attributes i8 · timestamp delta · offset delta · key · value · header count · headers
 *              (lengths, counts, and deltas are zigzag varints; a length of -1 is null)
 *
 * https://kafka.apache.org/documentation/#recordbatch
 */

export const LENGTH_AT = 8;
/** The length counts the bytes from here. */
export const LENGTH_END = 12;
export const LEADER_EPOCH_AT = 12;
export const MAGIC_AT = 16;
export const CRC_AT = 17;
/** The checksum covers the bytes from here. */
export const ATTRIBUTES_AT = 21;
export const LAST_OFFSET_DELTA_AT = 23;
export const BASE_TIMESTAMP_AT = 27;
export const MAX_TIMESTAMP_AT = 35;
export const PRODUCER_ID_AT = 43;
export const PRODUCER_EPOCH_AT = 51;
export const BASE_SEQUENCE_AT = 53;
export const RECORD_COUNT_AT = 57;
export const HEADER_BYTES = 61;

export const MAGIC = 2;
/** Bits of the attributes. */
export const CODEC_MASK = 0x07;
/** The codecs by their numbers in the attributes. */
export const CODEC_NAMES = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
export const APPEND_TIME_FLAG = 0x08;
export const TRANSACTIONAL_FLAG = 0x10;
export const CONTROL_FLAG = 0x20;
