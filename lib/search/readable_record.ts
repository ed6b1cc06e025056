/**
 * A record as a person reads it. Everything from a message passes `printable`.
 *
 * @module
 */

import { isUtf8 } from "node:buffer";
import { styled } from "../terminal.ts";
import { counted, printable } from "../text.ts";
import { failureOf, type Hit } from "./query.ts";

const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });
const JSON_TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g;
const LABEL_WIDTH = 8;

/** Returns the lines that show a record, and an empty one after them. */
export function describeRecord({ fields, record, timestampMs }: Hit): readonly string[] {
  const { topic, partition, offset, leaderEpoch, details, value, omittedValue } = record;
  const { mark } = fields;
  const failure = failureOf(fields);
  const epoch = leaderEpoch === undefined ? "" : `, leader epoch ${leaderEpoch}`;
  const omitted = (what: { readonly size: number; readonly sha256: string }) =>
    `not kept: ${counted(what.size, "byte")}, SHA-256 ${what.sha256}`;
  const rows: (readonly [string, string])[] = [["time", timeOf(timestampMs)]];
  if (details?.omittedKey !== undefined) rows.push(["key", omitted(details.omittedKey)]);
  else if (details !== undefined) rows.push(["key", bytesAsText(details.key)]);
  for (const header of details?.headers ?? []) {
    const { key, value, omitted: left } = header;
    rows.push(["header", `${printable(key)}: ${left ? omitted(left) : bytesAsText(value)}`]);
  }
  if (failure !== undefined) rows.push(["failed", `${failure.reason}: ${failure.message}`]);
  if (typeof mark === "string") rows.push(["mark", mark]);
  if (omittedValue !== undefined) rows.push(["value", omitted(omittedValue)]);
  else if (value === null) rows.push(["value", "null"]);
  const title = `${topic}, partition ${partition}, offset ${offset}${epoch}`;
  return [
    styled(printable(title), "bold"),
    ...rows.map(([label, text]) =>
      `${styled(label.padEnd(LABEL_WIDTH), label === "failed" ? "red" : "dim")}${printable(text)}`
    ),
    ...(value === null ? [] : indented(String(fields["raw_message"]))),
    "",
  ];
}

function timeOf(timestampMs: number): string {
  const time = new Date(timestampMs);
  return Number.isNaN(time.getTime()) ? `${timestampMs} ms` : time.toISOString();
}

/** Bytes that are not UTF-8 as base64, as the journal has them. */
function bytesAsText(bytes: Uint8Array | null): string {
  if (bytes === null) return "null";
  return isUtf8(bytes) ? DECODER.decode(bytes) : `${bytes.toBase64()} (base64)`;
}

/** JSON with a field on each line, every token as it was written; other text as it is. */
function indented(text: string): readonly string[] {
  try {
    JSON.parse(text);
  } catch {
    return text.split("\n").map(printable);
  }
  let shown = "";
  let depth = 0;
  const tokens = text.match(JSON_TOKEN) ?? [];
  for (const [index, token] of tokens.entries()) {
    const isEmpty = /^[{[]$/.test(tokens[index - 1] ?? "");
    const isClosing = token === "}" || token === "]";
    if (isClosing) depth--;
    const newLine = `\n${"  ".repeat(depth)}`;
    if (isClosing ? !isEmpty : isEmpty || tokens[index - 1] === ",") shown += newLine;
    shown += printable(token) + (token === ":" ? " " : "");
    if (token === "{" || token === "[") depth++;
  }
  return shown.split("\n");
}
