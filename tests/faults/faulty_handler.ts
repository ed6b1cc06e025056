/**
 * A handler that fails in every way that the tracker must survive. The order's sequence determines what it does, so
 * that a test knows the expected result from the journal alone.
 */

import { PermanentError } from "../../mod.ts";
import type { OrderHandler, RetryPolicy } from "../../mod.ts";
import { SESSION_TIMEOUT_MS } from "./fault_site.ts";

export const HANDLER_POLICY: RetryPolicy = {
  retryCount: 1,
  waitMsMin: 10,
  waitMsMax: 40,
  timeoutMs: SESSION_TIMEOUT_MS * 1.5,
};

/** Longer than the session, shorter than the handler timeout. */
const OUTLASTING_MS = SESSION_TIMEOUT_MS * 1.2;
const BLOCKING_MS = SESSION_TIMEOUT_MS * 1.4;

export type Behavior =
  | "succeeds"
  | "throws, then succeeds"
  | "throws for good"
  | "throws each time"
  | "hangs, then succeeds"
  | "hangs each time"
  | "outlasts the session"
  | "blocks the thread past the session, then succeeds";

const RARE_BEHAVIORS: Readonly<Record<number, Behavior>> = {
  50: "hangs, then succeeds",
  60: "hangs each time",
  70: "outlasts the session",
};

/** @param isBlocking sequence 40 blocks the thread, and nothing else takes long. */
export function behaviorOf(sequence: number, isBlocking: boolean): Behavior {
  const rare = isBlocking
    ? sequence === 40 ? "blocks the thread past the session, then succeeds" : undefined
    : RARE_BEHAVIORS[sequence];
  if (rare !== undefined) return rare;
  if (sequence % 30 === 10) return "throws, then succeeds";
  if (sequence % 30 === 20) return "throws for good";
  return sequence % 90 === 30 ? "throws each time" : "succeeds";
}

export function isGivenUp(behavior: Behavior): boolean {
  return ["throws for good", "throws each time", "hangs each time"].includes(behavior);
}

export interface FaultyHandlerOptions {
  /** Gets a line per call: `partition/offset` and the attempt. */
  readonly callsFile: string;
  readonly isBlocking: boolean;
}

export function faultyHandler({ callsFile, isBlocking }: FaultyHandlerOptions): OrderHandler {
  let hasBlocked = false;
  return async ({ sequence }, { attempt, record: { partition, offset } }) => {
    Deno.writeTextFileSync(callsFile, `${partition}/${offset} ${attempt}\n`, { append: true });
    switch (behaviorOf(sequence, isBlocking)) {
      case "throws, then succeeds":
        if (attempt === 1) throw new Error("transient");
        break;
      case "throws for good":
        throw new PermanentError("permanent");
      case "throws each time":
        throw new Error("always");
      case "hangs, then succeeds":
        if (attempt === 1) await new Promise(() => {});
        break;
      case "hangs each time":
        await new Promise(() => {});
        break;
      case "outlasts the session":
        await new Promise((resolve) => setTimeout(resolve, OUTLASTING_MS));
        break;
      case "blocks the thread past the session, then succeeds":
        if (!hasBlocked) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BLOCKING_MS);
        hasBlocked = true;
    }
  };
}
