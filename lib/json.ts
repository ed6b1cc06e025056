/**
 * JSON objects as returned by `JSON.parse`.
 *
 * @module
 */

export type JsonObject = Readonly<Record<string, unknown>>;

/** Reports whether a value is an object, but not null or an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
