/**
 * Compiles a JSON Schema, and sums that it cannot express, into the plan by which the kernel validates values.
 *
 * The plan's form is drawn at the top of `assembly/scan.ts`. By it the kernel says yes only where JSON.parse and the
 * schema's own check would, too. It says no to what breaks a rule and to what is rare: fields that the schema does not
 * know, fields that come twice, escapes in a text that has a pattern, exponents, numbers of more than 15 digits.
 */

type Schema = Readonly<Record<string, unknown>>;

/** Forms of text that the kernel recognizes, by their numbers in a plan. */
export const TEXT_FORMS = { notBlank: 1, uuid: 2, version: 3, email: 4 } as const;

/**
 * A rule that binds several numbers of an object, named by their paths: the amount is the sum, or the product, of the
 * terms. A path goes through lists; a term in a list of the amount's object stands for the sum of all its items. An
 * absent number counts as 0.
 */
export interface SumRule {
  readonly amount: string;
  readonly operation: "sum" | "product";
  readonly terms: readonly string[];
}

export interface PlanOptions {
  /** For each pattern of the schema, a form whose texts all match it. */
  readonly forms: ReadonlyMap<string, keyof typeof TEXT_FORMS>;
  readonly sums: readonly SumRule[];
  /** By how much an amount may differ from its sum. */
  readonly tolerance: number;
}

const ANNOTATIONS = ["description", "title", "$schema", "$id"];
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  object: ["type", "properties", "required"],
  array: ["type", "items", "minItems"],
  string: ["type", "pattern"],
  number: ["type", "minimum", "exclusiveMinimum", "maximum"],
  integer: ["type", "minimum", "exclusiveMinimum", "maximum"],
  boolean: ["type"],
};

const OBJECT = 0;
const ARRAY = 1;
const TEXT = 2;
const NUMBER = 3;
const BOOLEAN = 4;

const PUSH = 0;
const ADD = 1;
const MULTIPLY = 2;
const COMPARE = 3;
const ADD_TO = 4;

/** The set of an object's properties is a number's bits. */
const PROPERTIES_MAX = 31;
const TERMS_MAX = 16;
/** The kernel compares names eight bytes at a time. */
const NAME_PADDING_BYTES = 8;

/** Memory and program for the rules of an object, or of a list's items. */
interface ObjectRules {
  /** Addresses by the numbers' paths. */
  readonly slots: Map<string, number>;
  slotsAt: number;
  readonly program: number[];
}

/**
 * @throws {TypeError} where the schema has a keyword or a pattern that the kernel does not check: what is not checked must
 * not pass for what holds.
 */
export function compilePlan(schema: object, options: PlanOptions): Uint8Array {
  return new PlanWriter(options).compile({ ...schema });
}

class PlanWriter {
  readonly #options: PlanOptions;
  readonly #rules = new Map<string, ObjectRules>();
  #bytes = new Uint8Array(8 * 1024);
  /** The first eight bytes are the root's address. */
  #length = 8;

  constructor(options: PlanOptions) {
    this.#options = options;
  }

  compile(schema: Schema): Uint8Array {
    const { sums, tolerance } = this.#options;
    const toleranceAt = this.#add(8);
    this.#float(toleranceAt, tolerance);
    this.#placeSlots(sums);
    for (const rule of sums) this.#addRule(rule, toleranceAt);
    const root = this.#node(schema, "");
    this.#words(0, [root]);
    return this.#bytes.slice(0, this.#length);
  }

  /** The slots of an object lie side by side, so that they are cleared at once. */
  #placeSlots(sums: readonly SumRule[]): void {
    const used = sums.flatMap(({ amount, terms }) => [
      { owner: parentOf(amount), slot: amount },
      ...terms.map((term) => ({ owner: parentOf(term), slot: term })),
      ...terms.map((term) => ({ owner: parentOf(amount), slot: termIn(parentOf(amount), term) })),
    ]);
    for (const [owner, places] of Map.groupBy(used, (place) => place.owner)) {
      const names = [...new Set(places.map(({ slot }) => slot))];
      const slotsAt = this.#add(names.length * 8);
      const slots = new Map(names.map((name, index) => [name, slotsAt + index * 8]));
      this.#rules.set(owner, { slots, slotsAt, program: [] });
    }
  }

  #addRule({ amount, operation, terms }: SumRule, toleranceAt: number): void {
    if (terms.length > TERMS_MAX) throw new TypeError(`a sum of more than ${TERMS_MAX} terms`);
    const owner = parentOf(amount);
    const slotOf = (place: string, name: string) => this.#rules.get(place)?.slots.get(name) ?? 0;
    const program = this.#rules.get(owner)?.program ?? [];
    program.push(PUSH, slotOf(owner, amount));
    terms.forEach((term, index) => {
      const place = parentOf(term);
      const name = termIn(owner, term);
      if (place !== owner) {
        const ofItem = this.#rules.get(place)?.program;
        ofItem?.push(PUSH, slotOf(place, term), ADD_TO, slotOf(owner, name));
      }
      program.push(PUSH, slotOf(owner, name));
      if (index > 0) program.push(operation === "sum" ? ADD : MULTIPLY, 0);
    });
    program.push(COMPARE, toleranceAt);
  }

  /** Returns the node's address. */
  #node(schema: Schema, path: string): number {
    const types = [schema["type"]].flat().filter((type) => type !== "null");
    const type = types.length === 1 ? String(types[0]) : "of several types";
    for (const keyword of Object.keys(schema)) {
      if (![...ANNOTATIONS, ...KEYWORDS[type] ?? []].includes(keyword)) {
        throw new TypeError(`cannot check "${keyword}" in a value ${type}`);
      }
    }
    const orNull = Array.isArray(schema["type"]);
    if (orNull && type !== "array") throw new TypeError(`cannot check for ${type} or null`);
    const numberOr = (keyword: string, otherwise: number) => Number(schema[keyword] ?? otherwise);
    switch (type) {
      case "object":
        return this.#objectNode(schema, path);
      case "array": {
        const item = this.#node(schema["items"] as Schema, path);
        return this.#addWords([ARRAY, item, numberOr("minItems", 0), orNull ? 1 : 0]);
      }
      case "string":
        return this.#addWords([TEXT, this.#formOf(schema["pattern"])]);
      case "boolean":
        return this.#addWords([BOOLEAN]);
      default: {
        const node = this.#addWords([NUMBER, type === "integer" ? 1 : 0]);
        const bounds = this.#add(24);
        this.#float(bounds, numberOr("minimum", -Infinity));
        this.#float(bounds + 8, numberOr("exclusiveMinimum", -Infinity));
        this.#float(bounds + 16, numberOr("maximum", Infinity));
        return node;
      }
    }
  }

  #objectNode(schema: Schema, path: string): number {
    const required = (schema["required"] ?? []) as readonly string[];
    const entries = Object.entries(schema["properties"] as Readonly<Record<string, Schema>>);
    if (entries.length > PROPERTIES_MAX) {
      throw new TypeError(`cannot check ${entries.length} properties: at most ${PROPERTIES_MAX}`);
    }
    const { slots, slotsAt, program } = this.#rules.get(path) ?? NO_RULES;
    const properties = entries.flatMap(([name, property]) => {
      const key = ENCODER.encode(`${name}"`);
      const keyAt = this.#add(key.length + NAME_PADDING_BYTES);
      this.#bytes.set(key, keyAt);
      const childPath = path === "" ? name : `${path}.${name}`;
      return [keyAt, key.length, this.#node(property, childPath), slots.get(childPath) ?? 0];
    });
    const requiredBits = entries.reduce(
      (bits, [name], index) => required.includes(name) ? bits | 1 << index : bits,
      0,
    );
    const programAt = this.#addWords(program);
    return this.#addWords([
      ...[OBJECT, entries.length, requiredBits, slotsAt, slots.size * 8],
      ...[programAt, program.length * 4],
      ...properties,
    ]);
  }

  #formOf(pattern: unknown): number {
    if (pattern === undefined) return 0;
    const form = this.#options.forms.get(String(pattern));
    if (form === undefined) throw new TypeError(`cannot check the pattern ${pattern}`);
    return TEXT_FORMS[form];
  }

  #addWords(words: readonly number[]): number {
    const at = this.#add(words.length * 4);
    this.#words(at, words);
    return at;
  }

  /** Returns the address of bytes that are free. */
  #add(byteCount: number): number {
    const at = this.#length;
    this.#length += Math.ceil(byteCount / 8) * 8;
    while (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return at;
  }

  #words(at: number, words: readonly number[]): void {
    const view = new DataView(this.#bytes.buffer);
    words.forEach((word, index) => view.setUint32(at + index * 4, word, true));
  }

  #float(at: number, value: number): void {
    new DataView(this.#bytes.buffer).setFloat64(at, value, true);
  }
}

const ENCODER = new TextEncoder();
const NO_RULES: ObjectRules = { slots: new Map(), slotsAt: 0, program: [] };

/** Returns the path of the object that a number is in. */
function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf(".")));
}

/** Returns the name of the slot in which an object has a term: its own number, or the sum over a list. */
function termIn(owner: string, term: string): string {
  return parentOf(term) === owner ? term : `sum of ${term}`;
}
