/**
 * Calls a user-defined handler for each order, after the order is journaled and before its offset is committed.
 * Delivery is at least once: after a crash between the two, the order is handled again.
 */

import { delay, startTimer } from "../async.ts";
import type { KafkaRecord } from "../record.ts";
import type { Order } from "../order/schema.ts";
import type { FailureReason, RecordFailure } from "./failures.ts";

/** The context of a handler's call. */
export interface OrderContext {
  /** The record as read from the topic. */
  readonly record: KafkaRecord;
  /** The number of the attempt, from 1. */
  readonly attempt: number;
  /** Aborted on timeout and when the tracker stops: the call's result is then ignored. */
  readonly signal: AbortSignal;
}

/** Handles an order. If it throws anything but a {@link PermanentError}, the call is retried. */
export type OrderHandler = (order: Order, context: OrderContext) => Promise<void> | void;

/** Thrown by a handler if a retry would be useless: the order is dead-lettered at once. */
export class PermanentError extends Error {
  /** `PermanentError` */
  override readonly name = "PermanentError";
}

/** Retries of a handler's call, with exponential backoff. */
export interface RetryPolicy {
  /** Maximum number of retries; default: 3. */
  readonly retryCount: number;
  /** Wait before the first retry, doubled for each further one; default: 1 s. */
  readonly waitMsMin: number;
  /** Maximum wait between retries; default: 30 s. */
  readonly waitMsMax: number;
  /** Timeout of one call; default: 60 s. */
  readonly timeoutMs: number;
}

/** The default retry policy. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  retryCount: 3,
  waitMsMin: 1_000,
  waitMsMax: 30_000,
  timeoutMs: 60_000,
};

/** The result of handling an order. */
export type HandlerOutcome =
  | { readonly kind: "handled" }
  | { readonly kind: "failed"; readonly failure: RecordFailure }
  /** Stopped before it was settled; the order will be handled again. */
  | { readonly kind: "abandoned" };

export interface HandlerRun {
  readonly handler: OrderHandler;
  readonly order: Order;
  readonly record: KafkaRecord;
  readonly policy: RetryPolicy;
  /** Aborted when the tracker stops or the partition is lost. */
  readonly stop: AbortSignal;
}

/** Calls the handler until it succeeds, fails permanently, or is stopped. Never throws. */
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
  // Not AbortSignal.timeout() and any(): both stay in memory until the timeout, about 2 kB per call.
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
    // A handler that hangs is abandoned; the signal notifies it.
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
 * Returns the wait before the next retry: exponential, with jitter over its upper half, so that members do not retry in
 * lockstep (M. Brooker, "Exponential Backoff And Jitter", AWS 2015).
 */
export function retryWaitMs(
  { waitMsMin, waitMsMax }: Pick<RetryPolicy, "waitMsMin" | "waitMsMax">,
  attempt: number,
  random: () => number = Math.random,
): number {
  const waitMs = Math.min(waitMsMin * 2 ** (attempt - 1), waitMsMax);
  return waitMs / 2 + random() * waitMs / 2;
}
