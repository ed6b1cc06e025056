/**
 * The page's section about orders, or about values and keys for a topic without orders. Pure.
 */

import { toDecimal } from "../../order/money.ts";
import { inBytes, withThousands } from "../../text.ts";
import { hasOrders, REVENUE_MINUTES } from "../model/business.ts";
import type { Outcome } from "../model/outcome.ts";
import type { Snapshot } from "../model/read_model.ts";
import { countRow, section, table, text } from "../../html/parts.ts";

export function businessSection(snapshot: Snapshot, outcome: Outcome): string {
  return hasOrders(snapshot) ? business(snapshot, outcome) : traffic(snapshot, outcome);
}

function business(
  { business, firstEventMs = 0, newestEventMs = 0 }: Snapshot,
  { isFinished }: Outcome,
): string {
  const { revenue, ordersByStatus, topProducts, topCustomers } = business;
  const runMinutes = Math.max(1_000, newestEventMs - firstEventMs) / 60_000;
  return section(
    "Business",
    `<div class="columns">${
      [
        table(
          [
            "revenue",
            "#in all",
            isFinished ? "#a minute" : `#a minute, of the last ${REVENUE_MINUTES}`,
          ],
          revenue.map(({ currency, totalCents, perMinuteCents }) => [
            text(currency),
            amount(totalCents),
            amount(isFinished ? Math.round(totalCents / runMinutes) : perMinuteCents),
          ]),
        ) + table(["orders", "#"], ordersByStatus.entries().map(countRow).toArray()),
        table(
          ["top products", "#units"],
          topProducts.map(({ label, count }) => countRow([label, count])),
        ),
        table(
          ["top customers", "#orders"],
          topCustomers.map(({ label, count }) => countRow([label, count])),
        ),
      ].map((column) => `<div>${column}</div>`).join("")
    }</div>`,
    "wide",
  );
}

function traffic({ traffic, totals, ...rates }: Snapshot, { isFinished }: Outcome): string {
  if (totals.received === 0) return "";
  const { valueBytes, valueBytesPerSecond, valueBytesMax, keyCount, keylessCount } = traffic;
  const { firstEventMs = 0, newestEventMs = 0 } = rates;
  const runSeconds = Math.max(1_000, newestEventMs - firstEventMs) / 1_000;
  const perSecond = isFinished ? Math.round(valueBytes / runSeconds) : valueBytesPerSecond;
  return section(
    "Values and keys",
    `<div class="columns"><div>${
      table(["values", "#"], [
        ["in all", inBytes(valueBytes)],
        [isFinished ? "a second" : "a second, of the last minute", inBytes(perSecond)],
        ["mean", inBytes(Math.round(valueBytes / totals.received))],
        ["largest", inBytes(valueBytesMax)],
      ])
    }</div><div>${
      table(["keys", "#"], [
        ["different", `${withThousands(keyCount)}${traffic.areKeysCapped ? " or more" : ""}`],
        ["records without a key", withThousands(keylessCount)],
      ])
    }</div><div>${
      table(
        ["most frequent keys", "#records"],
        traffic.topKeys.map(({ label, count }) => countRow([label, count])),
      )
    }</div></div>`,
    "wide",
  );
}

function amount(cents: number): string {
  return toDecimal(cents).toLocaleString("en-US", {
    minimumFractionDigits: 2,
    maximumFractionDigits: 2,
  });
}
