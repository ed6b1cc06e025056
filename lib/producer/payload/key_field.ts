/**
 * Keys taken from a field of JSON values: `customer.id`, `items[0].sku`, `meta["odd name"]`.
 */

import type { OwnRecord, RecordRequest, RecordSource } from "./source.ts";

/** Names of members, and indexes of elements. */
export type FieldPath = readonly (string | number)[];

const STEP = /^(?:\.?([^.[\]"'\s]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\])/;
const DECODER = new TextDecoder("utf-8", { fatal: true });
const ENCODER = new TextEncoder();

/** @throws {SyntaxError} where the text is no path. */
export function parseFieldPath(text: string): FieldPath {
  const path: (string | number)[] = [];
  let rest = text;
  while (rest !== "") {
    const [step = "", name, index, quoted] = STEP.exec(rest) ?? [];
    const isFirst = path.length === 0;
    if (step === "" || (name !== undefined && step.startsWith(".") === isFirst)) {
      throw new SyntaxError(`expected a path such as customer.id or items[0].sku, got "${text}"`);
    }
    if (name !== undefined) path.push(name);
    else if (index !== undefined) path.push(Number(index));
    else path.push(String(JSON.parse(quoted ?? "")));
    rest = rest.slice(step.length);
  }
  if (path.length === 0) throw new SyntaxError("expected a path such as customer.id");
  return path;
}

export interface KeyedRecordsOptions {
  readonly path: FieldPath;
  readonly onFirstWithoutKey: (sequence: number) => void;
}

/** Gives the records of another source the key that stands in their value. */
export class KeyedRecords implements RecordSource {
  readonly #source: RecordSource;
  readonly #options: KeyedRecordsOptions;
  #withoutKeyCount = 0;

  constructor(source: RecordSource, options: KeyedRecordsOptions) {
    this.#source = source;
    this.#options = options;
  }

  /** Records whose value is not JSON, or has no string, number, or boolean at the path: they have no key. */
  get withoutKeyCount(): number {
    return this.#withoutKeyCount;
  }

  next(request: RecordRequest): OwnRecord {
    const record = this.#source.next(request);
    const { path, onFirstWithoutKey } = this.#options;
    const key = record.value === null ? undefined : keyIn(record.value, path);
    if (key === undefined && ++this.#withoutKeyCount === 1) onFirstWithoutKey(request.sequence);
    return { ...record, key: key === undefined ? null : ENCODER.encode(key) };
  }
}

/** Returns the scalar at a path of a JSON value as text, a number as it is written there; undefined where there is none. */
export function keyIn(value: Uint8Array, path: FieldPath): string | undefined {
  let found: unknown;
  try {
    found = JSON.parse(DECODER.decode(value), keepNumbers);
  } catch {
    return undefined; // no JSON
  }
  for (const step of path) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, step)) {
      return undefined;
    }
    found = Reflect.get(found, step);
  }
  if (found instanceof WrittenNumber) return found.text;
  return typeof found === "string" || typeof found === "boolean" ? String(found) : undefined;
}

/**
 * An identifier beyond 2^53 would be rounded, and be another record's key. The text is private, so that no path leads
 * to it.
 */
class WrittenNumber {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  get text(): string {
    return this.#text;
  }
}

function keepNumbers(
  this: unknown,
  _name: string,
  value: unknown,
  context?: { readonly source?: string },
): unknown {
  return typeof value === "number" ? new WrittenNumber(context?.source ?? String(value)) : value;
}
