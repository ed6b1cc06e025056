/**
 * Bytes, keys, and rates of a topic without orders. Pure.
 */

import { inBytes, printable, withThousands } from "../../../text.ts";
import type { Snapshot } from "../../model/read_model.ts";
import type { Line } from "../parts/line.ts";
import { type Fact, factLines } from "./summary.ts";

export function trafficLines({ traffic, totals }: Snapshot): readonly Line[] {
  const { valueBytes, valueBytesPerSecond, valueBytesMax, keylessCount, topKeys } = traffic;
  if (totals.received === 0) return [];
  const facts: readonly Fact[] = [
    {
      name: "values",
      value: inBytes(valueBytes),
      note: `${inBytes(valueBytesPerSecond)}/s`,
    },
    {
      name: "mean value",
      value: inBytes(Math.round(valueBytes / totals.received)),
      note: `max ${inBytes(valueBytesMax)}`,
    },
    {
      name: "keys",
      value: `${withThousands(traffic.keyCount)}${traffic.areKeysCapped ? "+" : ""}`,
      note: keylessCount === 0 ? "" : `${withThousands(keylessCount)} without a key`,
    },
    ...topKeys.map(({ label, count }, index): Fact => ({
      name: `key ${index + 1}`,
      value: withThousands(count),
      note: printable(label),
      noteTone: "plain",
    })),
  ];
  return factLines(facts);
}
