/**
 * The recent records, and one of them in full. Pure.
 *
 * @module
 */

import { inBytes, printable, withThousands } from "../../../text.ts";
import type { Found } from "../../model/found_records.ts";
import type { Snapshot } from "../../model/read_model.ts";
import type { RecentEvent } from "../../model/recent_event.ts";
import { GLYPHS } from "../parts/glyphs.ts";
import { column, columnsOf, type Line, type Span, span } from "../parts/line.ts";
import {
  clock,
  contains,
  type Detail,
  type DetailSpec,
  type ListPane,
  viewOf,
} from "../parts/list_pane.ts";
import type { Extent, FrameSpec, Pane } from "../parts/pane.ts";

const PLACE_WIDTH_MAX = 24;
const AMOUNT_WIDTH = 10;
const CURRENCY_WIDTH = 3;
const NAME_WIDTH_MAX = 32;
const STATUS_WIDTH = 7;
/** Of a line too long to be kept whole. */
const BEGINNING_LENGTH = 4_000;

export const RECORDS_PANE: ListPane = {
  name: "records",
  count: (snapshot, filter) => filteredEvents(snapshot, filter).length,
  draw,
  keys: (snapshot, filter) => filteredEvents(snapshot, filter).map(placeOf),
  detail,
};

function draw({ snapshot, controls, glyphs }: FrameSpec, { height }: Extent): Pane {
  const events = filteredEvents(snapshot, controls.filter);
  const { top, selected, isFocused } = viewOf("records", controls, {
    count: events.length,
    height,
  });
  const shown = events.slice(top, top + height);
  const placeWidth = Math.min(
    PLACE_WIDTH_MAX,
    Math.max(0, ...shown.map((event) => columnsOf(printable(placeOf(event))))),
  );
  const nameWidth = Math.min(
    NAME_WIDTH_MAX,
    Math.max(0, ...shown.map(({ order }) => columnsOf(printable(order?.customerName ?? "")))),
  );
  // A status that is the same on each line would waste the room.
  const hasStatus = new Set(shown.flatMap(({ order }) => order?.status ?? [])).size > 1;
  return {
    title: titleOf(snapshot, controls.filter, events.length),
    isFocused,
    lines: shown.map((event, index) => {
      const isSelected = isFocused && top + index === selected;
      const mark = isSelected ? GLYPHS[glyphs].pointer : " ";
      const line = eventLine(event, { mark, placeWidth, nameWidth, hasStatus });
      return isSelected ? line.map(({ text }): Span => span(text, "selected")) : line;
    }),
  };
}

interface Columns {
  readonly mark: string;
  readonly placeWidth: number;
  readonly nameWidth: number;
  readonly hasStatus: boolean;
}

function eventLine(event: RecentEvent, columns: Columns): Line {
  const { mark, placeWidth } = columns;
  return [
    span(`${mark} ${clock(event.timestampMs)} `, "dim"),
    span(event.failed ? "FAILED " : "ok     ", event.failed ? "bad" : "good"),
    span(column(printable(placeOf(event)), placeWidth)),
    ...whatOf(event, columns),
  ];
}

function whatOf(
  { failed, kind, error, order }: RecentEvent,
  { nameWidth, hasStatus }: Columns,
): Line {
  if (failed) return [span(`  ${printable(kind)}: ${printable(error ?? "")}`)];
  if (order === undefined) return [];
  const { total, currency = "", customerName = "", status = "", orderId = "" } = order;
  const amount = total === undefined ? "" : total.toFixed(2);
  return [
    span(`  ${column(amount, AMOUNT_WIDTH, "right")} `),
    span(column(printable(currency), CURRENCY_WIDTH)),
    span(`  ${column(printable(customerName), nameWidth)}`),
    ...(hasStatus ? [span(`  ${column(printable(status), STATUS_WIDTH)}`)] : []),
    span(`  ${printable(orderId)}`, "dim"),
  ];
}

function titleOf(snapshot: Snapshot, filter: string, count: number): string {
  if (filter === "") return "Recent records";
  const found = searchFor(snapshot, filter);
  const matches = `${withThousands(count)} match`;
  return found === undefined
    ? `Recent records, ${matches}`
    : `Records, ${matches} ${reachOf(found)}`;
}

function searchFor({ found }: Snapshot, filter: string): Found | undefined {
  return found?.query.text === filter ? found : undefined;
}

function detail({ snapshot, key }: DetailSpec): Detail | undefined {
  const failed = failedEvents(snapshot);
  const events = [...failed, ...snapshot.recentEvents, ...snapshot.found?.events ?? []];
  const event = events.find((each) => placeOf(each) === key);
  const failedAt = failed.findIndex((each) => placeOf(each) === key);
  const { foundFailed } = snapshot;
  const reach = foundFailed === undefined ? "among the newest" : reachOf(foundFailed);
  return event && {
    title: placeOf(event),
    ...(failedAt >= 0 && {
      rank: `error ${withThousands(failedAt + 1)} of ${withThousands(failed.length)} ${reach}`,
    }),
    ...(event.failed && { problem: `FAILED, ${event.kind}: ${event.error ?? ""}` }),
    lines: wholeText(event),
  };
}

/** The order in full, else the message as it came. */
function wholeText({ line }: RecentEvent): readonly string[] {
  const text = new TextDecoder().decode(line);
  try {
    const { order_full, ...rest } = JSON.parse(text);
    return JSON.stringify(order_full ?? rest, undefined, 2).split("\n");
  } catch {
    return [
      "the line is too long to be shown whole; it begins:",
      text.slice(0, BEGINNING_LENGTH),
    ];
  }
}

function filteredEvents(snapshot: Snapshot, filter: string): readonly RecentEvent[] {
  const { recentEvents } = snapshot;
  if (filter === "") return recentEvents.toReversed();
  const decoder = new TextDecoder();
  const recent = recentEvents.filter(({ line }) => contains(decoder.decode(line), filter))
    .toReversed();
  const found = searchFor(snapshot, filter);
  return found === undefined ? recent : merged(recent, found.events);
}

/** Every record that failed, newest first, as far as it is known. */
export function failedEvents(
  { recentFailedEvents, foundFailed }: Snapshot,
): readonly RecentEvent[] {
  return merged(recentFailedEvents.toReversed(), foundFailed?.events ?? []);
}

/** Merges recent records into the found ones, newest first and without duplicates. */
function merged(
  recent: readonly RecentEvent[],
  found: readonly RecentEvent[],
): readonly RecentEvent[] {
  const places = new Set(found.map(placeOf));
  return [...recent.filter((event) => !places.has(placeOf(event))), ...found];
}

/** Describes how much of the journal a search covers. */
function reachOf({ progress, readBytes, totalBytes }: Found): string {
  switch (progress) {
    case "complete":
      return `in the whole journal (${inBytes(totalBytes)})`;
    case "limited":
      return "(newest only; older matches are not listed)";
    case "searching":
      return `so far, ${Math.floor(100 * readBytes / Math.max(1, totalBytes))} % of ${
        inBytes(totalBytes)
      } searched`;
  }
}

/** What names a record. */
export function placeOf({ topic, partition, offset }: RecentEvent): string {
  return `${topic}/${partition}@${offset}`;
}
