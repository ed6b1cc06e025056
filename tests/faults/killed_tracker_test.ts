import assert from "node:assert/strict";
import { liveBroker } from "../live_broker.ts";
import { createSite, type Site, until } from "../site.ts";
import {
  assertAllCommitted,
  assertAllDeadLettered,
  assertSameRecords,
  between,
  type Failpoint,
  fill,
  logged,
  say,
  scaled,
  seededChoices,
  startFaultTracker,
  TEST_TIMEOUT_MS,
  trackToEnd,
  withDeadline,
} from "./fault_site.ts";

const broker = await liveBroker();

const RECORD_COUNT = scaled({ long: 200_000, short: 30_000 });
const KILL_COUNT = scaled({ long: 25, short: 5 });
/**
 * Rounds, each with one kill at every failpoint: before the flush, during a slow one, before and after the dead
 * letters.
 */
const ROUND_COUNT = scaled({ long: 5, short: 1 });
const BEFORE_FLUSH: readonly Failpoint[] = ["before-write", "torn-write", "before-sync"];
const BEFORE_COMMIT: readonly Failpoint[] = ["after-dead-letters", "before-commit"];
/** The hit at which a tracker dies; each is about a batch, so with more hits it makes more progress. */
const HITS = { min: 1, max: 5 } as const;

/**
 * Goal: whatever the tracker was doing when it died, its journal has each record once.
 * Method: a topic with 1 % bad records is read at full speed. The tracker is killed exactly before the flush, during
 * a slow flush, between flush and dead letter, and between dead letter and commit, in random order, and by SIGKILL
 * from outside at random journal lengths. The next one continues each time.
 * Invariants: no record is missing, repeated, or changed, and all are in order; each bad record is dead-lettered at
 * least once; the committed offsets are the topic's end.
 */
Deno.test(`a tracker killed ${KILL_COUNT} times at full speed has each record once`, async () => {
  await using site = await createSite({ broker: broker.address });
  const random = seededChoices();
  await fill(site, { count: RECORD_COUNT, badPercent: 1, args: ["--seed", String(random.seed)] });

  const pick = <Item>(items: readonly Item[]) =>
    items[between(random, { min: 0, max: items.length })];
  const moments: (Failpoint | undefined)[] = Array.from({ length: ROUND_COUNT }, () => [
    pick(BEFORE_FLUSH),
    "stalled-write" as const,
    "before-dead-letters" as const,
    pick(BEFORE_COMMIT),
  ]).flat();
  while (moments.length < KILL_COUNT) {
    moments.push(moments.length % 4 === 0 ? "after-commit" : undefined);
  }
  const recoveriesMs: number[] = [];
  for (const moment of shuffled(moments, () => random.unit())) {
    if (moment === undefined) recoveriesMs.push(await killAtRandom(site, random));
    else await dieAt(site, { point: moment, count: between(random, HITS) });
  }
  const { already_journaled } = await trackToEnd(site);

  assert.equal(await assertSameRecords(site), RECORD_COUNT);
  const { letters, bad } = await assertAllDeadLettered(site);
  await assertAllCommitted(site);
  assert.equal(logged(site.logs, /could not be trusted/).length, 0, "the checkpoint was kept");
  say(`killed at ${moments.map((moment) => moment ?? "random").join(", ")}`);
  say(`${letters} dead letters of ${bad}; the last run found ${already_journaled} journaled`);
  say(
    `from start to a growing journal after SIGKILL: ${recoveriesMs.map(Math.round).join(", ")} ms`,
  );
});

function shuffled<Item>(items: readonly Item[], unit: () => number): readonly Item[] {
  return items.map((item) => ({ item, key: unit() })).sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

async function dieAt(site: Site, dieAt: { point: Failpoint; count: number }): Promise<void> {
  using tracker = startFaultTracker(site, { dieAt });
  const code = await withDeadline(tracker.exitCode, () => tracker.output.stderr);
  assert.equal(code, 128 + 9, tracker.output.stderr);
  assert.match(tracker.output.stderr, new RegExp(`dies at ${dieAt.point}`));
}

/** Returns the time from the tracker's start to the first new bytes. */
async function killAtRandom(
  site: Site,
  random: Parameters<typeof between>[0],
): Promise<number> {
  const bytesBefore = journalBytes(site);
  const startedAtMs = performance.now();
  using tracker = startFaultTracker(site);
  let firstBytesMs: number | undefined;
  const bytesMin = between(random, { min: 1, max: 8_000_000 });
  await until("the journal grows", () => {
    const grown = journalBytes(site) - bytesBefore;
    if (grown > 0) firstBytesMs ??= performance.now() - startedAtMs;
    return grown >= bytesMin;
  }, TEST_TIMEOUT_MS);
  tracker.signal("SIGKILL");
  await tracker.exitCode;
  return firstBytesMs ?? 0;
}

function journalBytes(site: Site): number {
  try {
    return Deno.statSync(`${site.logs}/tracker.events`).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}
