/**
 * JSON that may not be what it should be.
 */

export type JsonObject = Readonly<Record<string, unknown>>;

/** Reports whether a value is an object, but not null or an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns undefined for text that is not JSON, which no JSON text stands for. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
