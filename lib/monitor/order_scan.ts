/**
 * What the monitor shows of an order, taken from the bytes of its JSON text: status, total and currency.
 *
 * Only the fields of the order itself are looked at; what is nested is walked over. A text that is not as expected is
 * parsed whole, and that decides.
 *
 * @module
 */

/** Overwritten by the next scan. */
export interface OrderFacts {
  readonly status: string | undefined;
  readonly total: number | undefined;
  readonly currency: string | undefined;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });
const ENCODER = new TextEncoder();

const STATUS = ENCODER.encode("status");
const TOTAL = ENCODER.encode("total");
const CURRENCY = ENCODER.encode("currency");
/** Longer texts are not worth a place in a list of statuses or currencies. */
const TEXT_BYTES_MAX = 64;

export class OrderScanner implements OrderFacts {
  status: string | undefined = undefined;
  total: number | undefined = undefined;
  currency: string | undefined = undefined;
  /** The texts of the order before: as a rule this one's too. */
  #statusBytes: Uint8Array = new Uint8Array(0);
  #status: string | undefined = undefined;
  #currencyBytes: Uint8Array = new Uint8Array(0);
  #currency: string | undefined = undefined;

  /** Reads the order `bytes[start]` to `bytes[end - 1]`, whose first and last byte are its braces. */
  scan(bytes: Uint8Array, start: number, end: number): void {
    this.#clear();
    if (!this.#walk(bytes, start + 1, end - 1)) this.#parse(bytes, start, end);
  }

  /** The order out of a line that was parsed. */
  take(order: unknown): void {
    this.#clear();
    if (typeof order !== "object" || order === null) return;
    const { status, total, currency } = order as Readonly<Record<string, unknown>>;
    if (typeof status === "string" && status.length <= TEXT_BYTES_MAX) this.status = status;
    if (typeof total === "number") this.total = total;
    if (typeof currency === "string" && currency.length <= TEXT_BYTES_MAX) this.currency = currency;
  }

  #clear(): void {
    this.status = undefined;
    this.total = undefined;
    this.currency = undefined;
  }

  #walk(bytes: Uint8Array, start: number, end: number): boolean {
    let at = start;
    while (at < end) {
      if (bytes[at] !== QUOTE) return false;
      const keyStart = at + 1;
      const keyEnd = plainStringEnd(bytes, keyStart, end);
      if (keyEnd === undefined || bytes[keyEnd + 1] !== COLON) return false;
      const valueStart = keyEnd + 2;
      const valueEnd = endOfValue(bytes, valueStart, end);
      if (
        valueEnd === undefined || !this.#note(bytes, { keyStart, keyEnd, valueStart, valueEnd })
      ) {
        return false;
      }
      if (valueEnd === end) return true;
      at = valueEnd + 1;
    }
    return false;
  }

  #note(
    bytes: Uint8Array,
    { keyStart, keyEnd, valueStart, valueEnd }: {
      readonly keyStart: number;
      readonly keyEnd: number;
      readonly valueStart: number;
      readonly valueEnd: number;
    },
  ): boolean {
    if (isAt(bytes, keyStart, keyEnd, TOTAL)) {
      const total = Number(DECODER.decode(bytes.subarray(valueStart, valueEnd)));
      this.total = total;
      return !Number.isNaN(total);
    }
    if (isAt(bytes, keyStart, keyEnd, STATUS)) {
      if (!isPlainText(bytes, valueStart, valueEnd)) return false;
      if (!isAt(bytes, valueStart, valueEnd, this.#statusBytes)) {
        this.#statusBytes = bytes.slice(valueStart, valueEnd);
        this.#status = DECODER.decode(bytes.subarray(valueStart + 1, valueEnd - 1));
      }
      this.status = this.#status;
    } else if (isAt(bytes, keyStart, keyEnd, CURRENCY)) {
      if (!isPlainText(bytes, valueStart, valueEnd)) return false;
      if (!isAt(bytes, valueStart, valueEnd, this.#currencyBytes)) {
        this.#currencyBytes = bytes.slice(valueStart, valueEnd);
        this.#currency = DECODER.decode(bytes.subarray(valueStart + 1, valueEnd - 1));
      }
      this.currency = this.#currency;
    }
    return true;
  }

  #parse(bytes: Uint8Array, start: number, end: number): void {
    try {
      this.take(JSON.parse(DECODER.decode(bytes.subarray(start, end))));
    } catch {
      this.#clear();
    }
  }
}

function isAt(bytes: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  if (end - start !== text.length) return false;
  for (let index = 0; index < text.length; index++) {
    if (bytes[start + index] !== text[index]) return false;
  }
  return true;
}

/** Where a string without escapes ends: the place of its closing quote. */
function plainStringEnd(bytes: Uint8Array, start: number, end: number): number | undefined {
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) return at;
    if (byte === BACKSLASH) return undefined;
  }
  return undefined;
}

function isPlainText(bytes: Uint8Array, start: number, end: number): boolean {
  return bytes[start] === QUOTE && end - start - 2 <= TEXT_BYTES_MAX &&
    plainStringEnd(bytes, start + 1, end) === end - 1;
}

/** One past a value: the place of the comma behind it, or `end`. */
function endOfValue(bytes: Uint8Array, start: number, end: number): number | undefined {
  let depth = 0;
  let at = start;
  while (at < end) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at++;
      while (at < end && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
      if (at >= end) return undefined;
    } else if (byte === COMMA) {
      if (depth === 0) return at;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth++;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth--;
    }
    at++;
  }
  return depth === 0 && at === end ? end : undefined;
}
