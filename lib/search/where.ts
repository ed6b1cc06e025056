/**
 * The expressions of `--where`: conditions on a record's JSON value. They are parsed and interpreted; no code is run.
 *
 *     or         = and { "||" and }
 *     and        = not { "&&" not }
 *     not        = "!" not | "(" or ")" | comparison
 *     comparison = operand [ ("==" | "!=" | "<" | "<=" | ">" | ">=") operand ]
 *     operand    = path | number | string | true | false | null
 *     path       = name { "." name | "[" (index | "*" | string) "]" }
 *
 * Paths start at the value; a first name `order_full` is the value itself. `[*]` matches any element: a comparison
 * holds if it holds for one of them. A comparison with something absent is false. Values of different types are not
 * equal, and neither is less than the other. A path alone holds if there is a value other than null and false.
 */

import { isJsonObject, parseJson } from "../json.ts";

export interface Condition {
  readonly holds: (value: unknown) => boolean;
  /** Strings that the value must contain for the condition to hold. */
  readonly requiredTexts: readonly string[];
}

/** A whole expression. */
export interface WhereCondition extends Condition {
  /** Returns the paths that were looked for in values and led nowhere in all of them: probably slips. */
  readonly absentPaths: () => readonly string[];
}

interface PathUse {
  readonly path: string;
  isLookedFor: boolean;
  isFound: boolean;
}

interface Operand {
  /** The values it refers to: none if a path does not exist, several with `[*]`. */
  readonly valuesIn: (root: unknown) => readonly unknown[];
  readonly literal?: unknown;
}

type Step = string | number | typeof EACH;

const EACH = Symbol("each");
const ROOT_NAME = "order_full";
const DEPTH_MAX = 100;
const TOKEN =
  /(?<space>\s+)|(?<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?<name>[\p{L}_$][\p{L}\p{N}_$-]*)|(?<sign>&&|\|\||[=!<>]=|[<>!().*[\]])/uy;
const LITERALS = new Map<string, unknown>([["true", true], ["false", false], ["null", null]]);

const COMPARISONS: Readonly<Record<string, (a: unknown, b: unknown) => boolean>> = {
  "==": (a, b) => a === b,
  "!=": (a, b) => a !== b,
  "<": (a, b) => isLess(a, b),
  ">": (a, b) => isLess(b, a),
  "<=": (a, b) => isLess(a, b) || (a === b && isOrdered(a)),
  ">=": (a, b) => isLess(b, a) || (a === b && isOrdered(a)),
};

function isLess(a: unknown, b: unknown): boolean {
  if (typeof a === "number" && typeof b === "number") return a < b;
  return typeof a === "string" && typeof b === "string" && a < b;
}

function isOrdered(value: unknown): boolean {
  return typeof value === "number" || typeof value === "string";
}

/** @throws {SyntaxError} if the text is not an expression; the message names the column, from 1. */
export function parseWhere(text: string): WhereCondition {
  return new Parser(tokensOf(text)).parse();
}

/** Returns a condition that holds if both do. */
export function bothOf(a: WhereCondition, b: WhereCondition): WhereCondition {
  return {
    holds: (value) => a.holds(value) && b.holds(value),
    requiredTexts: [...a.requiredTexts, ...b.requiredTexts],
    absentPaths: () => [...new Set([...a.absentPaths(), ...b.absentPaths()])],
  };
}

interface Token {
  readonly kind: "number" | "string" | "name" | "sign" | "end";
  readonly text: string;
  readonly column: number;
}

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let column = 1; // in characters, not UTF-16 code units
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) throw errorAt(column, reasonAt(text, at));
    const { space, number, string, name } = match.groups ?? {};
    const kind = number ? "number" : string ? "string" : name ? "name" : "sign";
    if (space === undefined) tokens.push({ kind, text: match[0], column });
    at = TOKEN.lastIndex;
    column += [...match[0]].length;
  }
  return [...tokens, { kind: "end", text: "the end", column }];
}

function reasonAt(text: string, at: number): string {
  const character = String.fromCodePoint(text.codePointAt(at) ?? 0);
  if (character === '"' || character === "'") return "the string does not end";
  const doubled = `${character}${character}`;
  return ["==", "&&", "||"].includes(doubled)
    ? `expected ${doubled}, found ${character}`
    : `unexpected ${character}`;
}

function errorAt(column: number, reason: string): SyntaxError {
  return new SyntaxError(`column ${column}: ${reason}`);
}

class Parser {
  readonly #tokens: readonly Token[];
  #index = 0;
  #depth = 0;
  readonly #uses: PathUse[] = [];

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): WhereCondition {
    const condition = this.#or();
    if (this.#next.kind !== "end") throw this.#expected("&& or ||");
    const isAbsent = ({ isLookedFor, isFound }: PathUse) => isLookedFor && !isFound;
    return {
      ...condition,
      absentPaths: () => [...new Set(this.#uses.filter(isAbsent).map(({ path }) => path))],
    };
  }

  #or(): Condition {
    const parts = [this.#and()];
    while (this.#takes("||")) parts.push(this.#and());
    const [first] = parts;
    if (parts.length === 1 && first !== undefined) return first;
    return { holds: (value) => parts.some(({ holds }) => holds(value)), requiredTexts: [] };
  }

  #and(): Condition {
    const parts = [this.#not()];
    while (this.#takes("&&")) parts.push(this.#not());
    return {
      holds: (value) => parts.every(({ holds }) => holds(value)),
      requiredTexts: parts.flatMap(({ requiredTexts }) => requiredTexts),
    };
  }

  #not(): Condition {
    if (++this.#depth > DEPTH_MAX) throw errorAt(this.#next.column, "nested too deeply");
    const condition = this.#takes("!") ? negated(this.#not()) : this.#parenthesized();
    this.#depth--;
    return condition;
  }

  #parenthesized(): Condition {
    if (!this.#takes("(")) return this.#comparison();
    const condition = this.#or();
    if (!this.#takes(")")) throw this.#expected(")");
    return condition;
  }

  #comparison(): Condition {
    const { column } = this.#next;
    const left = this.#operand();
    const compare = this.#next.kind === "sign" ? COMPARISONS[this.#next.text] : undefined;
    if (compare === undefined) {
      if ("literal" in left) throw errorAt(column, "expected a comparison with this value");
      const isSet = (value: unknown) => value !== null && value !== false;
      return { holds: (root) => left.valuesIn(root).some(isSet), requiredTexts: [] };
    }
    const sign = this.#take().text;
    const right = this.#operand();
    const literals = [left.literal, right.literal].filter((literal) => typeof literal === "string");
    return {
      holds: (root) =>
        left.valuesIn(root).some((a) => right.valuesIn(root).some((b) => compare(a, b))),
      requiredTexts: sign === "==" ? literals : [],
    };
  }

  #operand(): Operand {
    const { kind, text, column } = this.#next;
    if (kind !== "number" && kind !== "string" && kind !== "name") {
      throw this.#expected("a field or a value");
    }
    this.#take();
    if (kind === "name" && !LITERALS.has(text)) return this.#path(text);
    const literal = kind === "number"
      ? Number(text)
      : kind === "string"
      ? stringOf(text, column)
      : LITERALS.get(text);
    return { valuesIn: () => [literal], literal };
  }

  #path(first: string): Operand {
    const steps: Step[] = first === ROOT_NAME ? [] : [first];
    const firstIndex = this.#index - 1;
    while (true) {
      if (this.#takes(".")) {
        if (this.#next.kind !== "name") throw this.#expected("a field's name");
        steps.push(this.#take().text);
      } else if (this.#takes("[")) {
        steps.push(this.#subscript());
        if (!this.#takes("]")) throw this.#expected("]");
      } else {
        const path = this.#tokens.slice(firstIndex, this.#index).map(({ text }) => text).join("");
        const use: PathUse = { path, isLookedFor: false, isFound: false };
        this.#uses.push(use);
        return {
          valuesIn(root) {
            const values = steps.reduce(follow, [root]);
            use.isLookedFor = true;
            if (values.length > 0) use.isFound = true;
            return values;
          },
        };
      }
    }
  }

  #subscript(): Step {
    const { kind, text, column } = this.#next;
    if (this.#takes("*")) return EACH;
    const isIndex = kind === "number" && /^\d+$/.test(text);
    if (!isIndex && kind !== "string") throw this.#expected("an index, *, or a quoted name");
    this.#take();
    return isIndex ? Number(text) : stringOf(text, column);
  }

  get #next(): Token {
    return this.#tokens[this.#index] ?? { kind: "end", text: "the end", column: 1 };
  }

  #take(): Token {
    const token = this.#next;
    this.#index++;
    return token;
  }

  #takes(sign: string): boolean {
    if (this.#next.kind !== "sign" || this.#next.text !== sign) return false;
    this.#index++;
    return true;
  }

  #expected(what: string): SyntaxError {
    return errorAt(this.#next.column, `expected ${what}, found ${this.#next.text}`);
  }
}

function negated({ holds }: Condition): Condition {
  return { holds: (value) => !holds(value), requiredTexts: [] };
}

function follow(values: readonly unknown[], step: Step): readonly unknown[] {
  return values.flatMap((value) => {
    if (typeof step === "string") {
      return isJsonObject(value) && Object.hasOwn(value, step) ? [value[step]] : [];
    }
    if (!Array.isArray(value)) return [];
    return step === EACH ? value : value.slice(step, step + 1);
  });
}

/** Decodes a JSON string; one in single quotes has the same escapes. */
function stringOf(text: string, column: number): string {
  const isSingle = text.startsWith("'");
  const inside = isSingle
    ? text.slice(1, -1).replace(/\\'/g, "'").replace(
      /(\\.)|"/g,
      (found, escape) => escape ?? `\\${found}`,
    )
    : text.slice(1, -1);
  const value = parseJson(`"${inside}"`);
  if (typeof value === "string") return value;
  throw errorAt(column, `expected the escapes of JSON in ${text}`);
}
