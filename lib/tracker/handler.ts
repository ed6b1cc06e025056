/**
 * A function of another program's behind the tracker: called for each order after it is in the journal and
 * before its offset is committed. At least once: an order that is in the journal but whose offset was not
 * committed, because something was killed, is handed over again.
 *
 * @module
 */

import { delay, startTimer } from "../async.ts";
import type { KafkaRecord } from "../record.ts";
import type { Order } from "../order/schema.ts";
import type { FailureReason, RecordFailure } from "./failures.ts";

/** What a handler is told of an order. */
export interface OrderContext {
  /** As it was read from the topic. */
  readonly record: KafkaRecord;
  /** 1 at the first call, one more at each retry. */
  readonly attempt: number;
  /** Aborted when the time is over, or the tracker stops: what the handler does then no longer counts. */
  readonly signal: AbortSignal;
}

/**
 * Handles an order; what it throws is taken for transient and the call is repeated, a
 * {@link PermanentError} excepted.
 */
export type OrderHandler = (order: Order, context: OrderContext) => Promise<void> | void;

/** Thrown by a handler that knows that repeating the call is of no use: the order is dead-lettered at once. */
export class PermanentError extends Error {
  /** `PermanentError` */
  override readonly name = "PermanentError";
}

/** How often, and after what time, a handler's call is repeated. */
export interface RetryPolicy {
  /** Calls after the first; 3. */
  readonly retryCount: number;
  /** The wait before the first retry, doubled for each one after it; 1 s. */
  readonly waitMsMin: number;
  /** 30 s. */
  readonly waitMsMax: number;
  /** Bounds one call; 60 s. */
  readonly timeoutMs: number;
}

/** What holds where a handler says nothing else. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  retryCount: 3,
  waitMsMin: 1_000,
  waitMsMax: 30_000,
  timeoutMs: 60_000,
};

/** How the handling of an order ended. */
export type HandlerOutcome =
  | { readonly kind: "handled" }
  | { readonly kind: "failed"; readonly failure: RecordFailure }
  /** Stopped before it was settled: the order will be handed over again. */
  | { readonly kind: "abandoned" };

export interface HandlerRun {
  readonly handler: OrderHandler;
  readonly order: Order;
  readonly record: KafkaRecord;
  readonly policy: RetryPolicy;
  /** Aborted when the tracker stops or the partition is lost. */
  readonly stop: AbortSignal;
}

/** Calls the handler until it succeeds, fails for good, or is stopped. Never throws. */
export async function runHandler(run: HandlerRun): Promise<HandlerOutcome> {
  const { policy, stop } = run;
  for (let attempt = 1;; attempt++) {
    if (stop.aborted) return { kind: "abandoned" };
    const failure = await callOnce(run, attempt);
    if (failure === undefined) return { kind: "handled" };
    if (stop.aborted) return { kind: "abandoned" };
    if (failure.isPermanent || attempt > policy.retryCount) return { kind: "failed", failure };
    await delay(retryWaitMs(policy, attempt), stop);
  }
}

interface CallFailure extends RecordFailure {
  readonly isPermanent: boolean;
}

async function callOnce(
  { handler, order, record, policy, stop }: HandlerRun,
  attempt: number,
): Promise<CallFailure | undefined> {
  // Not AbortSignal.timeout() and any(): both stay in memory until the time is over, some 2 kB a call.
  const call = new AbortController();
  const { signal } = call;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  let isLate = false;
  const timer = startTimer(() => {
    isLate = true;
    call.abort(new DOMException("the handler took too long", "TimeoutError"));
  }, policy.timeoutMs);
  const onStop = () => call.abort(stop.reason);
  stop.addEventListener("abort", onStop);
  try {
    // A handler that hangs is left behind; the signal tells it so.
    await Promise.race([Promise.resolve(handler(order, { record, attempt, signal })), aborted]);
    return undefined;
  } catch (error) {
    const reason: FailureReason = isLate ? "TIMEOUT" : "PROCESSING";
    const message = isLate
      ? `the handler took longer than ${policy.timeoutMs / 1_000} s`
      : `the handler failed: ${error instanceof Error ? error.message : String(error)}`;
    // A handler's own message may quote the order.
    const messageWithoutValues = isLate
      ? message
      : `the handler failed: ${error instanceof Error ? error.name : typeof error}`;
    const isPermanent = error instanceof PermanentError;
    return { reason, message, messageWithoutValues, isPermanent };
  } finally {
    clearTimeout(timer);
    stop.removeEventListener("abort", onStop);
  }
}

/**
 * The wait before the retry after this attempt: exponential, with full jitter over its upper half, so that
 * members do not retry in step (M. Brooker, "Exponential Backoff And Jitter", AWS 2015).
 */
export function retryWaitMs(
  { waitMsMin, waitMsMax }: Pick<RetryPolicy, "waitMsMin" | "waitMsMax">,
  attempt: number,
  random: () => number = Math.random,
): number {
  const waitMs = Math.min(waitMsMin * 2 ** (attempt - 1), waitMsMax);
  return waitMs / 2 + random() * waitMs / 2;
}
