/**
 * What a failed step means for a run that sends records again: another run has taken over, the same step can succeed
 * later, or the run ends.
 */

import { delay } from "../async.ts";
import { isFencingReason } from "../kafka/error_classifier.ts";
import { BrokerUnreachableError, DeliveryError, RefusedError, scopeOf } from "../kafka/errors.ts";
import { CommitUnknownError } from "../kafka/transactional_producer.ts";
import type { Logger } from "../log.ts";
import { TRANSACTION_TIMEOUT_MS } from "./resend_session.ts";

/** Another run has begun, or a transaction took too long. What was committed stays, and the log names it. */
export class FencedError extends Error {
  override readonly name = "FencedError";

  constructor({ name, place, done }: Words, cause: unknown) {
    super(
      `this ${name} ${place} was fenced: another one has begun, or a transaction took ` +
        `longer than ${TRANSACTION_TIMEOUT_MS / 1_000} s. What was ${done} is recorded: ` +
        `run it again for the rest`,
      { cause },
    );
  }
}

/** Words for messages about a run. */
export interface Words {
  /** `redrive` or `replay`. */
  readonly name: string;
  /** Such as `of "orders-dlq"`. */
  readonly place: string;
  /** `redriven` or `replayed`. */
  readonly done: string;
}

export type ResendFailure =
  | "fenced"
  /** No broker answers: worth waiting for as long as it takes. */
  | "away"
  /** Brokers are starting or moving partitions, or a commit has no answer: worth trying for a while. */
  | "passing"
  /** The broker fails and does not say why: perhaps over one of the records. */
  | "unclear"
  | "final";

/** Never throws. */
export function failureOf(error: unknown): ResendFailure {
  const isCommitUnknown = error instanceof CommitUnknownError;
  if (isCommitUnknown || error instanceof DeliveryError || error instanceof RefusedError) {
    if (isFencingReason(error.reason)) return "fenced";
  }
  if (error instanceof BrokerUnreachableError) return "away";
  if (isCommitUnknown || scopeOf(error) === "passing") return "passing";
  return error instanceof DeliveryError && scopeOf(error) === "unclear" ? "unclear" : "final";
}

/** Failures in a row of brokers that answer. */
const FAILURES_MAX = 60;
const RETRY_WAIT_MS = 50;
const RETRY_WAIT_MS_MAX = 500;

/** Counts the failures of a run in a row, and waits after each. */
export class Interruptions {
  readonly #words: Words;
  readonly #log: Logger;
  #failureCount = 0;

  constructor(words: Words, log: Logger) {
    this.#words = words;
    this.#log = log;
  }

  /** Called when a transaction is committed. */
  end(): void {
    this.#failureCount = 0;
  }

  /**
   * Waits before the run is resumed after its last transaction.
   *
   * @throws {FencedError} if another run has taken over; the given error if a retry cannot succeed.
   */
  async waitAfter(error: unknown): Promise<void> {
    const failure = failureOf(error);
    if (failure === "fenced") throw new FencedError(this.#words, error);
    const isHopeless = failure !== "away" && ++this.#failureCount === FAILURES_MAX;
    if (failure === "final" || isHopeless) throw error;
    const { name } = this.#words;
    this.#log.warn(`The ${name} was interrupted; it resumes after the last transaction`, { error });
    await delay(Math.min(RETRY_WAIT_MS_MAX, RETRY_WAIT_MS * Math.max(1, this.#failureCount)));
  }
}
