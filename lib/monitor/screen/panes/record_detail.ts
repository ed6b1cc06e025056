/**
 * A record in full: why it failed, its key and headers, and its value with the failing fields marked. Pure.
 */

import { isJsonObject, type JsonObject, parseJson } from "../../../json.ts";
import { recordRows } from "../../../journal/record_text.ts";
import { inBytes, printable } from "../../../text.ts";
import type { RecentEvent } from "../../model/recent_event.ts";
import { type FieldMark, jsonLines } from "../parts/json_lines.ts";
import { column, type Line, span } from "../parts/line.ts";

/** Characters shown of a line that is too long to be kept whole. */
const BEGINNING_LENGTH = 4_000;
const NAME_WIDTH = 11;

/** Returns lines that are safe to print. */
export function recordLines(
  { line, failed, kind, error = "" }: RecentEvent,
  width: number,
): readonly Line[] {
  const text = new TextDecoder().decode(line);
  const problem: readonly Line[] = failed
    ? [[span(printable(`FAILED, ${kind}: ${error}`), "bad")]]
    : [];
  const fields = parseJson(text);
  if (!isJsonObject(fields)) {
    return [
      ...problem,
      [span("the line is too long to be shown whole; it begins:")],
      [span(printable(text.slice(0, BEGINNING_LENGTH)))],
    ];
  }
  return [
    ...problem,
    ...factLines(fields),
    [],
    ...valueLines(fields, { error: failed ? error : "", width }),
  ];
}

function factLines(fields: JsonObject): readonly Line[] {
  const sentAtMs = Number(fields["kafka_timestamp"]);
  const { kafka_leader_epoch: epoch, message_size: size } = fields;
  const rows = recordRows(fields);
  const isKept = !rows.some(([name]) => name === "value");
  return [
    fact("received", textOf(fields["timestamp"])),
    fact(
      "timestamp",
      [
        Number.isFinite(sentAtMs) && Math.abs(sentAtMs) <= TIME_MS_MAX
          ? new Date(sentAtMs).toISOString()
          : textOf(fields["kafka_timestamp"]),
        ...(typeof epoch === "number" ? [`leader epoch ${epoch}`] : []),
      ].join(", "),
    ),
    ...rows.map(([name, text]) => fact(name, text)),
    ...(isKept && typeof size === "number" ? [fact("value", inBytes(size))] : []),
  ];
}

const TIME_MS_MAX = 8.64e15;

function fact(name: string, text: string): Line {
  return [span(column(name, NAME_WIDTH), "dim"), span(printable(text))];
}

/** Shows the order, any other JSON, or the text as received. */
function valueLines(
  fields: JsonObject,
  { error, width }: { readonly error: string; readonly width: number },
): readonly Line[] {
  const marks = failingFields(error);
  const { order_full: order, raw_message: text, raw_message_base64: base64 } = fields;
  if (order !== undefined) return jsonLines(order, { width, marks });
  if (fields["value_null"] === true) return [];
  const value = typeof text === "string" && base64 === undefined ? parseJson(text) : undefined;
  if (typeof value === "object" && value !== null) return jsonLines(value, { width, marks });
  return textLines(textOf(text), error);
}

/** Marks where the JSON parser stopped. */
function textLines(text: string, error: string): readonly Line[] {
  const position = Number(/at position (\d+)/.exec(error)?.[1] ?? NaN);
  if (!(position < text.length)) return text.split("\n").map((each) => [span(printable(each))]);
  return [[
    span(printable(text.slice(0, position))),
    span("<-- here: ", "bad"),
    span(printable(text.slice(position, position + 1)), "bad"),
    span(printable(text.slice(position + 1))),
  ]];
}

/**
 * Matches one failure as the tracker writes it: `total (total): expected 14.5, got 1; items (required): ...`. A
 * quoted value may look like another failure.
 */
const FAILURE =
  /(?:^|; )([^\s();]+) \(([a-z-]+)\): ((?:"(?:[^"\\]|\\.)*"|[^"])*?)(?=; [^\s();]+ \([a-z-]+\): |; and \d+ more$|$)/gs;

function failingFields(error: string): readonly FieldMark[] {
  return error.matchAll(FAILURE).map(([, path = "", rule = "", note = ""]) => ({
    path: path === "order" ? "" : path,
    note: `${rule}: ${note}`,
  })).toArray();
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value) ?? "unknown";
}
