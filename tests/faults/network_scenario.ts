/**
 * Producer and tracker behind a network that fails in one way after another, whoever makes it fail.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Random } from "../../lib/shop/random.ts";
import { createSite, type Site, until } from "../site.ts";
import {
  assertAllDeadLettered,
  assertSameRecords,
  between,
  say,
  seededChoices,
  startFaultTracker,
  stopTracker,
  untilAllCommitted,
  untilJournaled,
  withDeadline,
} from "./fault_site.ts";
import { sendFullRecords } from "./full_records.ts";

const RATE = 400;
const FULL_RECORD_COUNT = 60;
/** Requests are given up after 3 s. What hangs beyond that is ended by the watchdog, after 45 s: too late. */
const RECOVERY_MS_MAX = 30_000;

export interface Trouble<Network> {
  readonly name: string;
  /** Makes it, and returns when it is over. */
  readonly make: (network: Network, random: Random) => Promise<void>;
}

/** A trouble that is there until the network is made whole again. */
export function lasting<Network>(
  name: string,
  { minMs, maxMs, begin }: {
    minMs: number;
    maxMs: number;
    begin: (network: Network, random: Random) => void | Promise<void>;
  },
): Trouble<Network> {
  return {
    name,
    async make(network, random) {
      const endsAtMs = performance.now() + between(random, { min: minMs, max: maxMs });
      await begin(network, random);
      await until(`${name} is over`, () => performance.now() > endsAtMs);
    },
  };
}

/**
 * Runs producer and tracker, makes each trouble in turn, in random order, and holds them to the invariants:
 * after each the journal grows again, soon; in the end topic and journal are the same, each bad record has
 * its dead letter, all that was acknowledged is there, all is committed.
 */
export async function surviveTroubles<Network>(
  { address, network, heal, troubles, roundCount }: {
    /** Where the network is entered. */
    readonly address: string;
    readonly network: Network;
    /** Makes the network whole. */
    readonly heal: (network: Network) => void | Promise<void>;
    readonly troubles: readonly Trouble<Network>[];
    readonly roundCount: number;
  },
): Promise<void> {
  const random = seededChoices();
  await using site = await createSite({ broker: address });
  using tracker = startFaultTracker(site);
  const producer = await site.start("producer", [
    "--rate",
    String(RATE),
    "--bad",
    "1",
    "--json",
  ]);
  await untilJournaled(site, RATE);
  const fullCount = await sendFullRecords(site, { count: FULL_RECORD_COUNT });
  const recoveries: string[] = [];
  for (let round = 0; round < roundCount; round++) {
    for (const { name, make } of shuffled(troubles, random)) {
      await make(network, random);
      await heal(network);
      const recoveryMs = await msUntilGrowing(site, tracker.output);
      assert.ok(recoveryMs < RECOVERY_MS_MAX, `after ${name}: ${recoveryMs} ms`);
      recoveries.push(`${name} ${Math.round(recoveryMs)} ms`);
    }
  }
  producer.signal("SIGTERM");
  assert.equal(await withDeadline(producer.exitCode, () => producer.output.stderr), 0);
  const { acknowledged, generated } = JSON.parse(producer.output.stdout);
  await untilAllCommitted(site);
  await stopTracker(tracker);
  const count = await assertSameRecords(site);
  const countMin = acknowledged + fullCount;
  assert.ok(count >= countMin, `${count} records of ${countMin} acknowledged`);
  await assertAllDeadLettered(site);
  say(`${count} records in the topic, ${acknowledged} acknowledged of ${generated}`);
  say(`growing again after: ${recoveries.join(", ")}`);
}

/** How long it takes until half a second's worth of records is journaled. */
async function msUntilGrowing(
  site: Site,
  output: { readonly stderr: string },
): Promise<number> {
  const startedAtMs = performance.now();
  const lines = await untilJournaled(site, 0);
  await untilJournaled(site, lines + RATE / 2).catch((error) => {
    throw new Error(`${error.message}; it said:\n${output.stderr}`);
  });
  return performance.now() - startedAtMs;
}

function shuffled<Item>(items: readonly Item[], random: Random): readonly Item[] {
  return items.map((item) => ({ item, key: random.unit() })).sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}
