/**
 * Finds short byte patterns in a buffer, 16 positions at a time (WebAssembly SIMD).
 *
 * A module is assembled for each set of patterns. Its only function compares the first, the middle, and the last byte
 * of each pattern, and returns the first position at which all three agree, or -1:
 *
 *     (func (export "find") (param $at i32) (param $end i32) (result i32)
 *       (local.set $b0 (i8x16.splat (i32.const ...)))  ...for each byte that is compared
 *       (loop $next
 *         (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (i32.const -1))))
 *         (local.set $bits (i8x16.bitmask (v128.or P0 P1)))
 *         (if (local.get $bits) (then (return (i32.add (local.get $at) (i32.ctz (local.get $bits))))))
 *         (local.set $at (i32.add (local.get $at) (i32.const 16)))
 *         (br $next)))
 *
 *     Pn = (v128.and (i8x16.eq (v128.load offset=0 (local.get $at)) (local.get $b0)) ...)
 */

const PAGE_BYTES = 64 * 1024;
const WINDOW_BYTES = 1024 * 1024;
/** Room for a pattern and a vector after the searched bytes. */
const PADDING_BYTES = PAGE_BYTES;
/** Maximum length of a pattern. Callers search for the beginning of longer ones, because matches are rare. */
export const PATTERN_BYTES_MAX = 64;

type Code = readonly number[];

const [I32, V128] = [0x7f, 0x7b];
const [AT, END, BITS, FIRST_VECTOR] = [0, 1, 2, 3];
const get = (local: number): Code => [0x20, local];
const set = (local: number): Code => [0x21, local];
const constant = (value: number): Code => [0x41, value & 0x7f | 0x80, value >> 7];
const load = (offset: number): Code => [0xfd, 0x00, 0, offset];
const SPLAT: Code = [0xfd, 0x0f];
const EQUAL: Code = [0xfd, 0x23];
const AND: Code = [0xfd, 0x4e];
const OR: Code = [0xfd, 0x50];
const BITMASK: Code = [0xfd, 0x64];
const [ADD, TRAILING_ZEROS, NOT_BELOW, RETURN, MINUS_ONE] = [[0x6a], [0x68], [0x4f], [0x0f], [
  0x41,
  0x7f,
]];
const [LOOP, IF, REPEAT, END_BLOCK] = [[0x03, 0x40], [0x04, 0x40], [0x0c, 0], [0x0b]];

function assemble(patterns: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const splats: Code[] = [];
  const matches = patterns.map((pattern, index): Code => {
    const last = pattern.length - 1;
    const equals = [...new Set([0, last >> 1, last])].map((distance, count): Code => {
      const vector = FIRST_VECTOR + splats.length;
      splats.push([...constant(pattern[distance] ?? 0), ...SPLAT, ...set(vector)]);
      return [...get(AT), ...load(distance), ...get(vector), ...EQUAL, ...(count > 0 ? AND : [])];
    });
    return [...equals.flat(), ...(index > 0 ? OR : [])];
  });
  const loop: readonly Code[] = [
    [...get(AT), ...get(END), ...NOT_BELOW, ...IF, ...MINUS_ONE, ...RETURN, ...END_BLOCK],
    [...matches.flat(), ...BITMASK, ...set(BITS)],
    [...get(BITS), ...IF, ...get(AT), ...get(BITS), ...TRAILING_ZEROS, ...ADD, ...RETURN],
    [...END_BLOCK, ...get(AT), ...constant(16), ...ADD, ...set(AT), ...REPEAT],
  ];
  const code = [
    ...splats.flat(),
    ...LOOP,
    ...loop.flat(),
    ...END_BLOCK,
    ...MINUS_ONE,
    ...END_BLOCK,
  ];
  const body = [2, 1, I32, splats.length, V128, ...code];
  const section = (id: number, content: Code) => [id, ...length(content), ...content];
  const name = (text: string) => [text.length, ...new TextEncoder().encode(text)];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 2, I32, I32, 1, I32]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, (WINDOW_BYTES + PADDING_BYTES) / PAGE_BYTES]),
    ...section(7, [2, ...name("memory"), 2, 0, ...name("find"), 0, 0]),
    ...section(10, [1, ...length(body), ...body]),
  ]);
}

/** Encodes a length as two-byte LEB128. */
function length({ length }: Code): Code {
  return [length & 0x7f | 0x80, length >> 7];
}

interface Exports {
  readonly memory: WebAssembly.Memory;
  readonly find: (at: number, end: number) => number;
}

export class ByteSearch {
  readonly #patterns: readonly Uint8Array[];
  readonly #find: Exports["find"];
  readonly #window: Uint8Array;

  /** @param patterns a few patterns of 1 to {@link PATTERN_BYTES_MAX} bytes each. */
  constructor(patterns: readonly Uint8Array[]) {
    if (patterns.some(({ length }) => length < 1 || length > PATTERN_BYTES_MAX)) {
      throw new RangeError(`expected patterns of 1 to ${PATTERN_BYTES_MAX} bytes`);
    }
    this.#patterns = patterns;
    const instance = new WebAssembly.Instance(new WebAssembly.Module(assemble(patterns)));
    const { memory, find } = instance.exports as unknown as Exports; // as `assemble` names them
    this.#find = find;
    this.#window = new Uint8Array(memory.buffer);
  }

  /** Calls `onMatch` with each position of a pattern, lowest first; it returns the position to continue from. */
  visit(bytes: Uint8Array, onMatch: (position: number) => number): void {
    let next = 0;
    for (let start = 0; start < bytes.length; start += WINDOW_BYTES) {
      const end = Math.min(start + WINDOW_BYTES, bytes.length);
      if (next >= end) continue;
      this.#window.set(bytes.subarray(start, end + PATTERN_BYTES_MAX));
      while (next < end) {
        const position = start + this.#find(next - start, end - start);
        // After the copied bytes, the window still contains earlier ones.
        if (position < start || position >= end) break;
        const isMatch = this.#patterns.some((pattern) => isAt(bytes, position, pattern));
        next = isMatch ? onMatch(position) : position + 1;
      }
      next = Math.max(next, end);
    }
  }
}

function isAt(bytes: Uint8Array, position: number, pattern: Uint8Array): boolean {
  for (let index = 0; index < pattern.length; index++) {
    if (bytes[position + index] !== pattern[index]) return false;
  }
  return true;
}
