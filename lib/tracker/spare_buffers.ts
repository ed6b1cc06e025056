/**
 * Buffers that threads share, each used by one at a time, and used again. New ones of megabytes would each
 * be asked of the system, zeroed, and given back by the collector whenever it comes to it.
 *
 * Shared, because a buffer that is transferred is detached, and from the first detached one on V8's compiled
 * code asks at every access of every typed array whether its buffer is still there: with transferred buffers
 * a line took a third more (17.5 us against 13.2, in the encoding thread).
 *
 * @module
 */

/** More than are ever under way; what comes back beyond them is left to the collector. */
const SPARE_MAX = 8;
/** A buffer is made larger than asked for, so that the next batch, a little larger, fits into it too. */
const HEADROOM = 1.125;
/** A buffer of more than so many times what is asked for is not used for it: it would never get smaller. */
const EXCESS_MAX = 8;

export class SpareBuffers {
  readonly #spare: Uint8Array<SharedArrayBuffer>[] = [];

  /** Bytes to write to, at least so many, with anything in them. */
  take(byteLength: number): Uint8Array<SharedArrayBuffer> {
    const index = this.#spare.findIndex(({ length }) =>
      length >= byteLength && length <= byteLength * EXCESS_MAX
    );
    const [found] = index === -1 ? [] : this.#spare.splice(index, 1);
    return found ?? new Uint8Array(new SharedArrayBuffer(Math.ceil(byteLength * HEADROOM)));
  }

  /** Takes the whole buffer back of which these bytes are a part; one that is not shared is left alone. */
  put({ buffer }: Uint8Array): void {
    if (!(buffer instanceof SharedArrayBuffer) || buffer.byteLength === 0) return;
    if (this.#spare.length === SPARE_MAX) this.#spare.shift();
    this.#spare.push(new Uint8Array(buffer));
  }
}
