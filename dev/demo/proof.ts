/**
 * The demo's proof: compares three independent accounts of what was sent and journaled.
 */

import type { ProducerSummary } from "../../lib/producer/accounts.ts";
import { styled } from "../../lib/terminal.ts";
import { withThousands } from "../../lib/text.ts";
import type { Verification } from "../../lib/verify/verification.ts";
import type { DemoSite } from "./site.ts";

export interface Proof {
  /** The producer's summary; undefined if it ended without one. */
  readonly producer: ProducerSummary | undefined;
  /** The comparison of this run's part of the topic with the journal. */
  readonly verification: Verification;
  /** Records added to the dead-letter topic during the run. */
  readonly deadLettered: number;
  /** Descriptions of programs that did not end properly. */
  readonly problems: readonly string[];
}

/** Reports whether nothing was lost: each acknowledged order is in the topic and, exactly once, in the journal. */
export function proofHolds({ producer, verification, problems }: Proof): boolean {
  return producer !== undefined && problems.length === 0 && verification.ok &&
    producer.generated === producer.acknowledged &&
    producer.acknowledged === verification.records &&
    verification.records === verification.journaled;
}

export function describeProof(
  proof: Proof,
  { topic, broker, logs, isLasting }: DemoSite,
): readonly string[] {
  const { producer, verification, deadLettered, problems } = proof;
  const rows: readonly (readonly [string, number | undefined, string])[] = [
    ["generated", producer?.generated, "orders produced"],
    ["acknowledged", producer?.acknowledged, "confirmed as stored by the broker"],
    ["in the topic", verification.records, `records read back from ${topic}`],
    ["journaled", verification.journaled, `of them in ${logs}/tracker.events`],
    ["dead-lettered", deadLettered, "records that could not be processed"],
    ["missing", verification.missing, "in the topic, not in the journal"],
    ["duplicated", verification.duplicated, "more than once in the journal"],
    ["different", verification.mismatched, "in the journal with other bytes"],
  ];
  const holds = proofHolds(proof);
  return [
    "",
    styled("The proof", "bold"),
    ...rows.map(([name, count, meaning]) =>
      `  ${name.padEnd(14)}${(count === undefined ? "?" : withThousands(count)).padStart(10)}  ${
        styled(meaning, "dim")
      }`
    ),
    "",
    ...problems.map((problem) => styled(problem, "red")),
    holds
      ? styled("Nothing was lost, and nothing was repeated.", "green")
      : styled("The proof failed.", "red"),
    styled(
      `Look for yourself: the journal is ${logs}/tracker.events` +
        (isLasting
          ? `; with the broker running, "deno task tracker verify --broker ${broker} --topic ${topic} --logs ${logs}"`
          : ""),
      "dim",
    ),
  ];
}
