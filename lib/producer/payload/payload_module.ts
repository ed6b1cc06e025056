/**
 * Records that a module of the user's makes: its `nextRecord({ sequence, timeMs, random })` is called for each.
 *
 * The module runs in this process, with the permissions of the program.
 */

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { RecordHeader } from "../../record.ts";
import { Random, STREAMS } from "../../shop/random.ts";
import { type OwnRecord, PayloadError, type RecordRequest, type RecordSource } from "./source.ts";

const FIELDS = ["key", "value", "headers"];
const ENCODER = new TextEncoder();

/** The argument of `nextRecord`. */
interface ModuleRequest extends RecordRequest {
  /** Draws a number from 0 up to, but not including, 1; decided by the seed. */
  readonly random: () => number;
}

type NextRecord = (request: ModuleRequest) => unknown;

/**
 * Loads the module.
 *
 * @throws {PayloadError} where it exports no function `nextRecord`.
 * @throws whatever loading it throws: a missing file, missing permission, a syntax error, an error of its own.
 */
export async function loadPayloadModule(path: string, seed: number): Promise<RecordSource> {
  Deno.statSync(path); // its errors say more than those of a failed import
  const module: unknown = await import(pathToFileURL(resolve(path)).href);
  const nextRecord: unknown = Reflect.get(Object(module), "nextRecord");
  if (!isFunction(nextRecord)) {
    throw new PayloadError(
      "it exports no function nextRecord({ sequence, timeMs, random }) that returns " +
        "{ key, value, headers }",
    );
  }
  const generator = new Random(seed, { stream: STREAMS.payloadModule });
  const random = () => generator.unit();
  return {
    next({ sequence, timeMs }) {
      try {
        return recordOf(nextRecord({ sequence, timeMs, random }));
      } catch (error) {
        const what = error instanceof ShapeError
          ? `returned no valid record at record ${sequence}: ${error.message}`
          : `threw at record ${sequence}: ${textOf(error)}`;
        throw new PayloadError(`nextRecord() ${what}`, { cause: error });
      }
    },
  };
}

/** The returned value is not a record. */
class ShapeError extends Error {
  override readonly name = "ShapeError";
}

/** Anything can be thrown. */
function textOf(thrown: unknown): string {
  return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : Deno.inspect(thrown);
}

function isFunction(value: unknown): value is NextRecord {
  return typeof value === "function";
}

function recordOf(returned: unknown): OwnRecord {
  if (returned instanceof Promise) {
    returned.catch(() => {}); // what it would have been is of no interest any more
    throw new ShapeError("a promise; nextRecord must return the record itself, without async");
  }
  if (typeof returned !== "object" || returned === null || Array.isArray(returned)) {
    throw new ShapeError(`expected { key, value, headers }, got ${kindOf(returned)}`);
  }
  const unknownField = Object.keys(returned).find((name) => !FIELDS.includes(name));
  if (unknownField !== undefined) {
    throw new ShapeError(`it has a field "${unknownField}"; expected key, value, and headers only`);
  }
  const { key = null, value, headers }: Record<string, unknown> = { ...returned };
  return {
    key: contentOf(key, "key"),
    value: contentOf(value, "value"),
    ...(headers !== undefined && headers !== null && { headers: headersOf(headers) }),
  };
}

/** Headers are an object of names and values, or a list of pairs, in which a name may come again. */
function headersOf(headers: unknown): readonly RecordHeader[] {
  if (typeof headers !== "object" || headers === null || headers instanceof Uint8Array) {
    throw new ShapeError(
      `headers must be an object or a list of [name, value], got ${kindOf(headers)}`,
    );
  }
  const pairs: readonly unknown[] = Array.isArray(headers) ? headers : Object.entries(headers);
  return pairs.map((pair) => {
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== "string") {
      throw new ShapeError("headers must be an object or a list of [name, value]");
    }
    const [key, value]: readonly unknown[] = pair;
    return { key: String(key), value: contentOf(value, `header "${key}"`) };
  });
}

/** Text is sent as UTF-8. Bytes are copied: the module may use its buffer again for the next record. */
function contentOf(content: unknown, name: string): Uint8Array | null {
  if (content === null) return null;
  if (typeof content === "string") return ENCODER.encode(content);
  if (content instanceof Uint8Array) return new Uint8Array(content);
  throw new ShapeError(`${name} must be a string, a Uint8Array, or null, got ${kindOf(content)}`);
}

function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (typeof value === "object") return Array.isArray(value) ? "an array" : "an object";
  return `a ${typeof value}`;
}
