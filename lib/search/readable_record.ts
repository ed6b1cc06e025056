/**
 * Formats a record for display. Everything from a message passes through `printable`.
 */

import { type RecordRow, recordRows } from "../journal/record_text.ts";
import { parseJson } from "../json.ts";
import { styled } from "../terminal.ts";
import { printable } from "../text.ts";
import { failureOf, type Hit } from "./query.ts";

const JSON_TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g;
const NAME_WIDTH = 8;

export function describeRecord({ fields, record, timestampMs }: Hit): readonly string[] {
  const { topic, partition, offset, leaderEpoch, value } = record;
  const failure = failureOf(fields);
  const epoch = leaderEpoch === undefined ? "" : `, leader epoch ${leaderEpoch}`;
  const rows: readonly RecordRow[] = [
    ["time", timeOf(timestampMs)],
    ...(failure === undefined
      ? []
      : [["failed", `${failure.reason}: ${failure.message}`] as const]),
    ...recordRows(fields),
  ];
  const title = `${topic}, partition ${partition}, offset ${offset}${epoch}`;
  return [
    styled(printable(title), "bold"),
    ...rows.map(([name, text]) =>
      `${styled(name.padEnd(NAME_WIDTH), name === "failed" ? "red" : "dim")}${printable(text)}`
    ),
    ...(value === null ? [] : indented(String(fields["raw_message"]))),
    "",
  ];
}

function timeOf(timestampMs: number): string {
  const time = new Date(timestampMs);
  return Number.isNaN(time.getTime()) ? `${timestampMs} ms` : time.toISOString();
}

/** Returns JSON with one field per line and every token as written; other text unchanged. */
function indented(text: string): readonly string[] {
  if (parseJson(text) === undefined) return text.split("\n").map(printable);
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
