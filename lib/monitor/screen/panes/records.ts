/**
 * The recent records, and one of them in full. Pure.
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
  onlyTopic,
  viewOf,
} from "../parts/list_pane.ts";
import type { Extent, FrameSpec, Pane } from "../parts/pane.ts";
import { recordLines } from "./record_detail.ts";

const PLACE_WIDTH_MAX = 24;
const CURRENCY_WIDTH = 3;
const NAME_WIDTH_MAX = 32;
const STATUS_WIDTH = 7;

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
  const columns = columnsFor(shown, onlyTopic(snapshot));
  return {
    title: titleOf(snapshot, controls.filter, events.length),
    isFocused,
    lines: shown.map((event, index) => {
      const isSelected = isFocused && top + index === selected;
      const mark = isSelected ? GLYPHS[glyphs].pointer : " ";
      const line = eventLine(event, { ...columns, mark });
      return isSelected ? line.map(({ text }): Span => span(text, "selected")) : line;
    }),
  };
}

/** Widths of the columns, and which are omitted. Columns that differ from line to line get the space. */
interface Columns {
  readonly topic: string | undefined;
  readonly verdictWidth: number;
  readonly placeWidth: number;
  readonly amountWidth: number;
  readonly nameWidth: number;
  readonly sizeWidth: number;
  readonly hasStatus: boolean;
}

function columnsFor(shown: readonly RecentEvent[], topic: string | undefined): Columns {
  const widest = (texts: readonly string[]) => Math.max(0, ...texts.map(columnsOf));
  const statuses = new Set(shown.flatMap(({ order }) => order?.status ?? []));
  return {
    topic,
    verdictWidth: widest(shown.map(verdictOf)),
    placeWidth: Math.min(PLACE_WIDTH_MAX, widest(shown.map((event) => placeText(event, topic)))),
    amountWidth: widest(shown.map(amountOf)),
    nameWidth: Math.min(NAME_WIDTH_MAX, widest(shown.map(nameOf))),
    sizeWidth: widest(shown.map(({ content }) => content ? inBytes(content.valueBytes) : "")),
    hasStatus: statuses.size > 1,
  };
}

function eventLine(event: RecentEvent, columns: Columns & { readonly mark: string }): Line {
  const { mark, verdictWidth, placeWidth, topic } = columns;
  return [
    span(`${mark} ${clock(event.timestampMs)} `, "dim"),
    span(`${column(verdictOf(event), verdictWidth)} `, event.failed ? "bad" : "good"),
    span(column(placeText(event, topic), placeWidth)),
    ...whatOf(event, columns),
  ];
}

function whatOf(event: RecentEvent, columns: Columns): Line {
  const { failed, kind, error = "", order, content } = event;
  if (failed) return [span(`  ${printable(kind)}: ${printable(error)}`)];
  if (content !== undefined) {
    return [
      span(`  ${column(nameOf(event), columns.nameWidth)}`, "strong"),
      span(`  ${column(inBytes(content.valueBytes), columns.sizeWidth, "right")}`, "dim"),
      span(`  ${printable(content.text)}`),
    ];
  }
  if (order === undefined) return [];
  const { currency = "", status = "", orderId = "" } = order;
  return [
    span(`  ${column(amountOf(event), columns.amountWidth, "right")} `),
    span(column(printable(currency), CURRENCY_WIDTH)),
    span(`  ${column(nameOf(event), columns.nameWidth)}`),
    ...(columns.hasStatus ? [span(`  ${column(printable(status), STATUS_WIDTH)}`)] : []),
    span(`  ${printable(orderId)}`, "dim"),
  ];
}

function verdictOf({ failed }: RecentEvent): string {
  return failed ? "FAILED" : "ok";
}

function placeText(event: RecentEvent, topic: string | undefined): string {
  return topic === undefined ? printable(placeOf(event)) : `${event.partition}@${event.offset}`;
}

function amountOf({ order }: RecentEvent): string {
  return order?.total === undefined ? "" : order.total.toFixed(2);
}

/** Returns the customer, or the key if there is no order. */
function nameOf({ order, content }: RecentEvent): string {
  return printable(order?.customerName ?? content?.key ?? "");
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

function detail({ snapshot, key, width }: DetailSpec): Detail | undefined {
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
    lines: recordLines(event, width),
  };
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

/** Returns all known failed records, newest first. */
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

/** Returns the text that identifies a record. */
export function placeOf({ topic, partition, offset }: RecentEvent): string {
  return `${topic}/${partition}@${offset}`;
}
