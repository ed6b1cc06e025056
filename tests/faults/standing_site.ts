/**
 * Observes a running tracker as an operator does: `GET /ready`, `tracker.status`, and the monitor.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { freePort, LOOPBACK } from "../../dev/local_port.ts";
import type { Program } from "../../dev/programs.ts";
import { type Site, until } from "../site.ts";

export interface Readiness {
  readonly ready: boolean;
  readonly reason?: string;
}

/** `tracker.status`, parsed; its fields are part of the contract. */
export interface SeenStatus {
  readonly timestamp: string;
  readonly pid: number;
  readonly state: string;
  readonly ready: boolean;
  readonly reason?: string;
  readonly topic: string;
  readonly group: string;
  readonly partitions: readonly {
    readonly partition: number;
    readonly position: number | null;
    readonly committed: number | null;
    readonly lag: number | null;
    readonly reason?: string;
  }[];
  readonly open_transactions: readonly {
    readonly partition: number;
    readonly first_offset: number;
    readonly records: number;
    readonly seconds: number;
  }[];
  readonly latency_ms: { readonly p50: number; readonly p99: number; readonly max: number } | null;
  readonly counters: Readonly<Record<string, number>>;
}

/** The product's own tracker, with a health port. */
export interface WatchedTracker extends Program {
  readonly logs: string;
  readiness(): Promise<Readiness | undefined>;
  status(): SeenStatus | undefined;
  untilReady(): Promise<void>;
  /** Polls until it is not ready for this reason, and returns the time taken in milliseconds. */
  untilNotReady(reason: RegExp, timeoutMs?: number): Promise<number>;
  untilStatus(
    what: string,
    condition: (status: SeenStatus) => boolean,
    timeoutMs?: number,
  ): Promise<SeenStatus>;
}

const TIMEOUT_MS = 60_000;

export async function startWatched(
  site: Site,
  { args = [], logs = site.logs }: { args?: readonly string[]; logs?: string } = {},
): Promise<WatchedTracker> {
  const port = freePort();
  const program = await site.start("tracker", [
    ...["--health-port", String(port), "--quiet", "--logs", logs],
    ...args,
  ]);
  const readiness = async () => {
    try {
      const response = await fetch(`http://${LOOPBACK}:${port}/ready`);
      return await response.json() as Readiness;
    } catch (error) {
      if (error instanceof TypeError) return undefined;
      throw error;
    }
  };
  const status = () => readStatus(logs);
  return {
    ...program,
    logs,
    readiness,
    status,
    untilReady: () => until("ready", async () => (await readiness())?.ready === true, TIMEOUT_MS),
    async untilNotReady(reason, timeoutMs = TIMEOUT_MS) {
      const startedAtMs = performance.now();
      let last: Readiness | undefined;
      await until(`not ready: ${reason}`, async () => {
        last = await readiness();
        return last?.ready === false && reason.test(last.reason ?? "");
      }, timeoutMs).catch((error) => {
        throw new Error(`${error.message}; last: ${JSON.stringify(last)}`);
      });
      return performance.now() - startedAtMs;
    },
    async untilStatus(what, condition, timeoutMs = TIMEOUT_MS) {
      let last: SeenStatus | undefined;
      await until(what, () => {
        last = status();
        return last !== undefined && condition(last);
      }, timeoutMs).catch((error) => {
        throw new Error(`${error.message}; last: ${JSON.stringify(last)}`);
      });
      assert.ok(last);
      return last;
    },
  };
}

/** Reads the status file; each read finds a complete object, or no file. */
export function readStatus(logs: string): SeenStatus | undefined {
  try {
    return JSON.parse(Deno.readTextFileSync(join(logs, "tracker.status")));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Returns the sum over all partitions; null if one is unknown, or the tracker has no partitions yet. */
export function lagOf({ partitions }: SeenStatus): number | null {
  if (partitions.length === 0) return null;
  return partitions.reduce<number | null>(
    (sum, { lag }) => sum === null || lag === null ? null : sum + lag,
    0,
  );
}

/** Runs `monitor --once --json`, and returns its output and exit code. */
export async function runMonitor(
  site: Site,
  logs: string = site.logs,
): Promise<Readonly<Record<string, unknown>> & { readonly code: number }> {
  const { code, stdout } = await site.run("monitor", ["--once", "--json", "--logs", logs]);
  return { ...JSON.parse(stdout), code };
}
