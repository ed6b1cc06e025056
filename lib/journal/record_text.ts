/**
 * Describes a journaled record's key, headers, and mark as rows for display. Their texts are not yet safe for a
 * terminal.
 */

import { isJsonObject, type JsonObject } from "../json.ts";
import { counted } from "../text.ts";

export type RecordRow = readonly [name: string, text: string];

/**
 * Returns the key, headers, and mark, and the value if it is null or was omitted. Accepts lines that lack any of
 * them.
 */
export function recordRows(fields: JsonObject): readonly RecordRow[] {
  const { kafka_headers: headers, kafka_timestamp: timestamp, mark } = fields;
  const isDetailed = timestamp !== undefined; // older lines have neither key nor headers
  return [
    ...(isDetailed ? [["key", bytesText(fields, "kafka_key")] as const] : []),
    ...(Array.isArray(headers) ? headers.filter(isJsonObject) : []).map((header) =>
      ["header", `${header["key"]}: ${bytesText(header, "value")}`] as const
    ),
    ...(typeof mark === "string" ? [["mark", mark] as const] : []),
    ...(fields["value_null"] === true ? [["value", "null (a tombstone)"] as const] : []),
    ...(fields["value_omitted"] === undefined
      ? []
      : [["value", bytesText(fields, "value")] as const]),
  ];
}

/** Returns bytes that are not UTF-8 as base64, as in the line. */
function bytesText(fields: JsonObject, name: string): string {
  const { [name]: text, [`${name}_base64`]: base64, [`${name}_omitted`]: omitted } = fields;
  if (isJsonObject(omitted)) {
    return `not kept: ${counted(Number(omitted["size"]), "byte")}, SHA-256 ${omitted["sha256"]}`;
  }
  if (typeof base64 === "string") return `${base64} (base64)`;
  return typeof text === "string" ? text : "null";
}
