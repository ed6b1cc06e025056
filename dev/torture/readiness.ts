/**
 * During a run, compares the trackers' own status with the group's commits in the cluster.
 */

import { join } from "node:path";
import { PROMISES } from "./promises.ts";
import { answers, delay, GROUP, ROLES, type Stage, type TopicRole, TOPICS } from "./stage.ts";

const SAMPLE_EVERY_MS = 1_000;
/** 15 s are promised; the group is polled once a second, and an answer can take another. */
const STANDSTILL_MAX_MS = 15_000 + 2_000;

/** Adds violations of promises to the facts, until told to stop. */
export async function watchReadiness(stage: Stage, until: AbortSignal): Promise<void> {
  const standstills = new Map<string, { committed: number; sinceMs: number; told?: true }>();
  while (!until.aborted) {
    await delay(SAMPLE_EVERY_MS);
    for (const { name, logs } of stage.trackers) {
      const status = await Deno.readTextFile(join(logs, "tracker.status")).catch(() => undefined);
      if (status !== undefined && !isWhole(status)) {
        stage.facts.violations.push(`${PROMISES.status}: ${name}: "${status.slice(0, 100)}"`);
      }
    }
    for (const role of ROLES) {
      const readers = stage.trackers.filter(({ topic, program }) => program && topic === role);
      const ready = await Promise.all(readers.map((slot) => answers(slot, "ready")));
      const lags = await lagsOf(stage, role).catch(() => new Map<number, Lag>());
      const areAllReady = readers.length > 0 && !ready.includes(false);
      for (const [partition, { committed, lag }] of lags) {
        const place = `${role}/${partition}`;
        const last = standstills.get(place);
        if (!areAllReady || lag === 0 || last?.committed !== committed) {
          standstills.set(place, { committed, sinceMs: performance.now() });
        } else if (performance.now() - last.sinceMs > STANDSTILL_MAX_MS && last.told !== true) {
          last.told = true;
          stage.facts.violations.push(
            `${PROMISES.readiness}: ${place} at offset ${committed}, ${lag} offsets behind`,
          );
        }
      }
      if (lags.size === 0) {
        for (const place of standstills.keys()) {
          if (place.startsWith(role)) standstills.delete(place);
        }
      }
    }
  }
}

function isWhole(status: string): boolean {
  try {
    return typeof JSON.parse(status).state === "string";
  } catch {
    return false;
  }
}

interface Lag {
  readonly committed: number;
  readonly lag: number;
}

/** Returns by partition what the group has committed, and how many offsets remain. */
export async function lagsOf({ admin }: Stage, role: TopicRole): Promise<Map<number, Lag>> {
  const topic = TOPICS[role];
  const ends = await admin.fetchTopicOffsets(topic);
  const [group] = await admin.fetchOffsets({ groupId: GROUP, topics: [topic] });
  return new Map(ends.map(({ partition, low, high }) => {
    const found = group?.partitions.find((each) => each.partition === partition);
    const committed = Math.max(Number(found?.offset ?? -1), Number(low));
    // A commit beyond the end belongs to a log that was truncated since.
    const lag = Math.abs(Number(high) - committed);
    return [partition, { committed, lag }];
  }));
}
