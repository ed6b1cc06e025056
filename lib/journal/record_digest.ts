/**
 * Computes the SHA-256 by which records are compared, of their values or of their other fields:
 *
 *     value     offset · length of the value (-1: null) · the value
 *     details   offset · timestamp · its low bits, if beyond 2^53 · length and bytes of the key · count of headers · each: name, value
 *
 * Numbers are 8 bytes, so that different sequences of records never give the same bytes. Headers keep their order.
 */

import { createHash, type Hash, hash as hashAtOnce } from "node:crypto";
import type { OmittedBytes, RecordHeader } from "../record.ts";

/** The fields of a record in a journal line, other than its value. */
export interface RecordDetails {
  readonly timestampMs: number;
  readonly exactTimestampMs?: bigint | undefined;
  readonly key: Uint8Array | null;
  readonly omittedKey?: OmittedBytes;
  readonly headers: readonly RecordHeader[];
}

/** Small pieces are buffered up to this size: hashing each separately would cost more than the hash itself. */
const GATHERED_BYTES = 16 * 1024;
const NUMBER_BYTES = 8;
const NULL_LENGTH = -1;
/** A rounded timestamp, together with its remainder modulo this, identifies the timestamp. */
const LOW_BITS = 2n ** 32n;
const ENCODER = new TextEncoder();

/** Takes records one after another. Two digests are equal if and only if the sequences were. */
export class RecordDigest {
  readonly #gathered = new Uint8Array(GATHERED_BYTES);
  readonly #view = new DataView(this.#gathered.buffer);
  #used = 0;
  #hash: Hash | undefined;

  addValue(offset: number, value: Uint8Array | null, omitted?: OmittedBytes): void {
    this.#addNumber(offset);
    this.#addBytes(value);
    this.#addOmitted(omitted);
  }

  addDetails(
    offset: number,
    { timestampMs, exactTimestampMs, key, omittedKey, headers }: RecordDetails,
  ): void {
    this.#addNumber(offset);
    this.#addNumber(timestampMs);
    if (exactTimestampMs !== undefined) this.#addNumber(Number(exactTimestampMs % LOW_BITS));
    this.#addBytes(key);
    this.#addOmitted(omittedKey);
    this.#addNumber(headers.length);
    for (const header of headers) {
      this.#addBytes(ENCODER.encode(header.key));
      this.#addBytes(header.value);
      this.#addOmitted(header.omitted);
    }
  }

  /** Added after a null, which is itself a null if nothing was omitted. */
  #addOmitted(omitted: OmittedBytes | undefined): void {
    if (omitted === undefined) return;
    this.#addNumber(omitted.size);
    this.#addBytes(ENCODER.encode(omitted.sha256));
  }

  /** Returns the digest of everything added since the last one, in hexadecimal. */
  take(): string {
    if (this.#hash === undefined) {
      // Usually one record: creating an object or array for each allocates memory faster than it is freed.
      const gathered = this.#gathered.subarray(0, this.#used);
      this.#used = 0;
      return hashAtOnce("sha256", gathered, "hex");
    }
    this.#flush();
    const digest = this.#hash.digest("hex");
    this.#hash = undefined;
    return digest;
  }

  #addNumber(number: number): void {
    if (this.#used + NUMBER_BYTES > GATHERED_BYTES) this.#flush();
    this.#view.setFloat64(this.#used, number);
    this.#used += NUMBER_BYTES;
  }

  #addBytes(bytes: Uint8Array | null): void {
    this.#addNumber(bytes?.length ?? NULL_LENGTH);
    if (bytes === null) return;
    if (this.#used + bytes.length > GATHERED_BYTES) this.#flush();
    if (bytes.length > GATHERED_BYTES) {
      this.#hash?.update(bytes);
      return;
    }
    this.#gathered.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  #flush(): void {
    this.#hash ??= createHash("sha256");
    this.#hash.update(this.#gathered.subarray(0, this.#used));
    this.#used = 0;
  }
}
