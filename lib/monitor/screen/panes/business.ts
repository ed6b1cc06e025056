/**
 * Revenue, orders by status, top products and customers; bytes and keys for a topic without orders. Pure.
 */

import { toDecimal } from "../../../order/money.ts";
import { printable, withThousands } from "../../../text.ts";
import { hasOrders, REVENUE_MINUTES } from "../../model/business.ts";
import type { Snapshot } from "../../model/read_model.ts";
import type { Counted } from "../../model/tally.ts";
import { column, columnsOf, type Line, span } from "../parts/line.ts";
import type { ListPane } from "../parts/list_pane.ts";
import type { FrameSpec, Pane } from "../parts/pane.ts";
import { countsText, NAME_WIDTH } from "./summary.ts";
import { trafficLines } from "./traffic.ts";

const TOP_SHOWN = 5;

export const BUSINESS_PANE: ListPane = {
  name: "business",
  count: (snapshot) => linesOf(snapshot).length,
  draw,
};

function draw({ snapshot, controls }: FrameSpec): Pane {
  const isFocused = controls.focus === "business";
  const lines = linesOf(snapshot).slice(isFocused ? controls.selected["business"] ?? 0 : 0);
  if (!hasOrders(snapshot) && lines.length > 0) {
    return { title: "Values and keys", isFocused, lines };
  }
  return {
    title: "Business",
    isFocused,
    lines,
    edge: ["", `a minute: the mean of the last ${REVENUE_MINUTES}`, ""],
  };
}

function linesOf(snapshot: Snapshot): readonly Line[] {
  return hasOrders(snapshot) ? businessLines(snapshot) : trafficLines(snapshot);
}

function businessLines({ business }: Snapshot): readonly Line[] {
  const { revenue, ordersByStatus, topProducts, topCustomers } = business;
  const amounts = revenue.map(({ currency, totalCents, perMinuteCents }) => ({
    total: `${withThousands(toDecimal(totalCents))} ${printable(currency)}`,
    perMinute: withThousands(toDecimal(perMinuteCents)),
  }));
  const totalWidth = Math.max(0, ...amounts.map(({ total }) => columnsOf(total)));
  const minuteWidth = Math.max(0, ...amounts.map(({ perMinute }) => columnsOf(perMinute)));
  return [
    ...amounts.map(({ total, perMinute }): Line => [
      span(column(total, totalWidth, "right"), "strong"),
      span(
        `  ${column(perMinute, minuteWidth, "right")} a minute`,
        "dim",
      ),
    ]),
    ...(ordersByStatus.size === 0
      ? []
      : [[span("orders  ", "dim"), span(countsText(ordersByStatus))]]),
    ...rankedLines("product", topProducts),
    ...rankedLines("customer", topCustomers),
  ];
}

function rankedLines(name: string, ranked: readonly Counted[]): readonly Line[] {
  return ranked.slice(0, TOP_SHOWN).map(({ label, count }, index) => [
    span(column(`${name} ${index + 1}`, NAME_WIDTH), "dim"),
    span(`${withThousands(count)}  `, "strong"),
    span(printable(label)),
  ]);
}
