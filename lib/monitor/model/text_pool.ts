/**
 * Decodes recurring texts only once.
 *
 * @module
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });
const POOL_SIZE = 1 << 14;

export class TextPool {
  readonly #bytes: (Uint8Array | undefined)[] = new Array(POOL_SIZE);
  readonly #texts: string[] = new Array(POOL_SIZE);

  /**
   * Returns the text between the quotes at `start` and `end - 1`; undefined if there is none, or if it is too long or has
   * escapes.
   */
  of(bytes: Uint8Array, start: number, end: number, bytesMax: number): string | undefined {
    if (bytes[start] !== QUOTE || end - start - 2 > bytesMax) return undefined;
    let hash = 0;
    for (let at = start + 1; at < end - 1; at++) {
      const byte = bytes[at] ?? 0;
      if (byte === BACKSLASH || byte === QUOTE) return undefined;
      hash = (Math.imul(hash, 31) + byte) | 0;
    }
    const slot = (hash ^ (hash >>> 14)) & (POOL_SIZE - 1);
    const known = this.#bytes[slot];
    if (known === undefined || !isAt(bytes, start, end, known)) {
      this.#bytes[slot] = bytes.slice(start, end);
      this.#texts[slot] = DECODER.decode(bytes.subarray(start + 1, end - 1));
    }
    return this.#texts[slot];
  }
}

/** Returns whether `bytes[start]` to `bytes[end - 1]` equal the text. */
export function isAt(bytes: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  if (end - start !== text.length) return false;
  for (let index = 0; index < text.length; index++) {
    if (bytes[start + index] !== text[index]) return false;
  }
  return true;
}
