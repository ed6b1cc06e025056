/**
 * One run of a schedule: faults under load, then healing, then the judge.
 */

import { join } from "node:path";
import { gatherEvidence } from "./evidence.ts";
import { judge } from "./judge.ts";
import { type Evidence, type Judgment, PROMISES } from "./promises.ts";
import { type Acknowledged, writeLast, writeLoad } from "./load.ts";
import type { Dice, Nemesis } from "./nemesis.ts";
import { lagsOf, watchReadiness } from "./readiness.ts";
import type { Schedule } from "./schedule.ts";
import { deadLettersOf, delay, ROLES, signal, Stage, TOPIC_CONFIG, TOPICS } from "./stage.ts";

/** How long everything may take to catch up after healing. */
const CATCH_UP_TIMEOUT_MS = 120_000;
/** A redrive's transaction times out after 30 s; brokers check for such transactions every 10 s. */
const TRANSACTIONS_TIMEOUT_MS = 45_000;
const POLL_MS = 500;

export interface RunOptions {
  readonly nemeses: ReadonlyMap<string, Nemesis>;
  /** Called with the lines of the story, each with the time since the start. */
  readonly tell: (line: string) => void;
  /** Ends the faults early; everything still heals and is judged. */
  readonly stop: AbortSignal;
  /** Where journals and logs of a run with violations are kept. */
  readonly keepAt?: string;
}

export async function runSchedule(schedule: Schedule, options: RunOptions): Promise<Judgment> {
  const { nemeses, stop, keepAt } = options;
  const healing = new AbortController();
  const startedMs = performance.now();
  const tell = (line: string) => {
    const seconds = Math.round((performance.now() - startedMs) / 1_000);
    const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    options.tell(`${time}  ${line}`);
  };
  await using stage = await Stage.open({ setup: schedule.setup, tell, healing: healing.signal });
  const load = writeLoad(stage, { seed: schedule.seed, stop: healing.signal });
  const watched = new AbortController();
  const watch = watchReadiness(stage, watched.signal);

  const faultsStartMs = performance.now();
  const waitUntil = async (atMs: number) => {
    while (performance.now() - faultsStartMs < atMs && !stop.aborted) await delay(50);
  };
  const strikes: Promise<void>[] = [];
  for (const { atMs, nemesis: name, dice } of schedule.steps) {
    await waitUntil(atMs);
    if (stop.aborted) break;
    const nemesis = nemeses.get(name);
    if (nemesis === undefined) throw new RangeError(`Unknown nemesis "${name}"`);
    // A fault that is prevented by another one is not a violation.
    strikes.push(
      nemesis.strike(stage, toDice(dice)).catch((error) => tell(`${name} failed: ${error}`)),
    );
  }
  await waitUntil(schedule.durationMs);

  tell("healing");
  healing.abort();
  const loaded = await load;
  await Promise.all(strikes);
  await heal(stage);
  const last = await writeLast(stage);
  const acknowledged = [...loaded, ...last];
  await transactionsEnded(stage, last);
  await catchUp(stage);
  watched.abort();
  await watch;
  for (const slot of stage.trackers) await stage.stopTracker(slot);
  tell("judging");
  const evidence = await gatherEvidence(stage, acknowledged);
  const judgment = judge(evidence);
  if (judgment.violations.length > 0 && keepAt !== undefined) {
    await keep(stage, { evidence, folder: keepAt });
  }
  return judgment;
}

function toDice([first = 0, second = 0, third = 0, fourth = 0]: readonly number[]): Dice {
  return [first, second, third, fourth];
}

async function heal(stage: Stage): Promise<void> {
  stage.proxy?.setMode({ kind: "pass" });
  for (const node of stage.nodes) {
    signal(node, "SIGCONT");
    const { process } = node;
    if (process === undefined || await Promise.race([process.exited, delay(20)])) {
      await stage.startNode(node);
    }
  }
  for (const role of ROLES) {
    await stage.createTopic(role);
    await stage.createDeadLetterTopic(role);
    await stage.configure(TOPICS[role], TOPIC_CONFIG);
    await stage.configure(deadLettersOf(TOPICS[role]), stage.deadLetterConfig);
  }
  for (const slot of stage.trackers) {
    slot.program?.signal("SIGCONT");
    if (slot.topic !== slot.setup.topic) await stage.stopTracker(slot);
    slot.topic = slot.setup.topic;
    if (slot.program === undefined) await stage.startTracker(slot);
  }
}

/**
 * Waits until readers of committed records see the last record of each partition. A partition that lost its end may
 * never show it.
 */
async function transactionsEnded(stage: Stage, last: readonly Acknowledged[]): Promise<void> {
  const deadline = performance.now() + TRANSACTIONS_TIMEOUT_MS;
  for (const role of ROLES) {
    const own = last.filter((record) => record.role === role);
    const isShown = async () => {
      const ends = await stage.admin.fetchTopicOffsets(TOPICS[role]).catch(() => []);
      const of = new Map(ends.map(({ partition, high }) => [partition, Number(high)]));
      return own.every(({ partition, offset }) => offset < (of.get(partition) ?? 0));
    };
    while (!await isShown() && performance.now() < deadline) await delay(POLL_MS);
  }
}

/** Waits until everything is journaled and committed. */
async function catchUp(stage: Stage): Promise<void> {
  const deadline = performance.now() + CATCH_UP_TIMEOUT_MS;
  const roles = ROLES.filter((role) => stage.trackers.some(({ topic }) => topic === role));
  for (;;) {
    const behind: string[] = [];
    for (const role of roles) {
      const lags = await lagsOf(stage, role).catch(() => undefined);
      if (lags === undefined) behind.push(`${role}: unknown`);
      for (const [partition, { lag, committed }] of lags ?? []) {
        if (lag > 0) behind.push(`${role}/${partition} at offset ${committed}, ${lag} behind`);
      }
    }
    if (behind.length === 0) return;
    if (performance.now() > deadline) {
      stage.facts.violations.push(`${PROMISES.recovery}: ${behind.join("; ")}`);
      return;
    }
    await delay(POLL_MS);
  }
}

/** Keeps journals, logs, and everything else the judge saw. */
async function keep(
  stage: Stage,
  { evidence, folder }: { readonly evidence: Evidence; readonly folder: string },
): Promise<void> {
  const { topics, acknowledged, producers } = evidence;
  const asObject = (_: string, value: unknown) =>
    value instanceof Map ? Object.fromEntries(value) : value;
  const text = JSON.stringify({ topics, acknowledged, producers, facts: stage.facts }, asObject, 1);
  await Deno.writeTextFile(join(folder, "evidence.json"), text);
  for (const { name, logs } of [...stage.trackers, ...stage.guests]) {
    const files = await Array.fromAsync(Deno.readDir(logs)).catch(() => []); // it may never have started
    await Deno.mkdir(join(folder, name), { recursive: true });
    for (const file of files) {
      await Deno.copyFile(join(logs, file.name), join(folder, name, file.name));
    }
  }
}
