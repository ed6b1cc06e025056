/**
 * Runs a soak and records its figures.
 *
 *     deno task bench soak
 *     deno task bench soak --minutes 60
 */

import { proofHolds } from "../dev/demo/proof.ts";
import { parseOptions, soak, type SoakSettings } from "../dev/soak.ts";
import { WARM_UP_SHARE } from "../dev/soak/flatness.ts";
import { FIGURE_HEADER, figureCells } from "../dev/soak/report.ts";
import { soakHolds, type SoakResult } from "../dev/soak/run.ts";
import { withThousands } from "../lib/text.ts";
import { table, writeSection } from "./results.ts";

export async function main(args: string[]): Promise<void> {
  const settings = parseOptions(args);
  const result = await soak(settings);
  if (result === undefined) return;
  await writeSection("soak", describe(result, settings));
  if (!soakHolds(result)) throw new Error("the soak failed: see its figures");
}

function describe(result: SoakResult, { minutes, rate, rotate }: SoakSettings): string {
  const { proof, samples, monitored, figures } = result;
  const { records, journaled, missing, duplicated, mismatched } = proof.verification;
  return [
    `## Soak: ${minutes} minutes`,
    "",
    `${rate} orders per second; the tracker closes a segment at ${rotate} and compresses it, and the ` +
    `monitor follows with --json. ${samples} samples of each program. Growth is the difference of the medians of ` +
    `the first and the last third, after a warm-up of ${
      Math.round(WARM_UP_SHARE * 100)
    } % of the run.`,
    "",
    table(FIGURE_HEADER, figures.map(figureCells)),
    "",
    `${withThousands(proof.producer?.acknowledged ?? 0)} orders acknowledged, ` +
    `${withThousands(records)} in the topic, ${withThousands(journaled)} journaled, ` +
    `${withThousands(monitored)} counted by the monitor; ${missing} missing, ${duplicated} ` +
    `duplicated, ${mismatched} different. ` +
    (proofHolds(proof) ? "The proof holds." : "The proof does NOT hold."),
  ].join("\n");
}
