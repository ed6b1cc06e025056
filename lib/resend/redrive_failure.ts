/**
 * What a failed step means for a redrive: another run has taken over, the same step can succeed later, or the run
 * ends.
 *
 * @module
 */

import { isFencingReason } from "../kafka/error_classifier.ts";
import { BrokerUnreachableError, DeliveryError, RefusedError, scopeOf } from "../kafka/errors.ts";
import { CommitUnknownError } from "../kafka/transactional_producer.ts";
import { TRANSACTION_TIMEOUT_MS } from "./resend_session.ts";

/** Another redrive has begun, or a transaction took too long. What was committed stays, and the log names it. */
export class RedriveFencedError extends Error {
  override readonly name = "RedriveFencedError";

  constructor(deadLetterTopic: string, cause: unknown) {
    super(
      `this redrive of "${deadLetterTopic}" was fenced: another one has begun, or a transaction took ` +
        `longer than ${TRANSACTION_TIMEOUT_MS / 1_000} s. What was redriven is recorded: ` +
        `run it again for the rest`,
      { cause },
    );
  }
}

export type RedriveFailure =
  | "fenced"
  /** No broker answers: worth waiting for as long as it takes. */
  | "away"
  /** Brokers are starting or moving partitions, or a commit has no answer: worth trying for a while. */
  | "passing"
  /** The broker fails and does not say why: perhaps over one of the records. */
  | "unclear"
  | "final";

/** Never throws. */
export function failureOf(error: unknown): RedriveFailure {
  const isCommitUnknown = error instanceof CommitUnknownError;
  if (isCommitUnknown || error instanceof DeliveryError || error instanceof RefusedError) {
    if (isFencingReason(error.reason)) return "fenced";
  }
  if (error instanceof BrokerUnreachableError) return "away";
  if (isCommitUnknown || scopeOf(error) === "passing") return "passing";
  return error instanceof DeliveryError && scopeOf(error) === "unclear" ? "unclear" : "final";
}
