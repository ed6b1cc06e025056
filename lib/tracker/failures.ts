/**
 * Why a record can fail: the contract's reasons, each with what its letter says in Kafka Connect's words.
 * All that has to know every reason takes it from here.
 *
 * @module
 */

/** What a letter says of a failure, as Kafka Connect's sink tasks do. */
interface FailureKind {
  /** Kafka Connect's stage of processing. */
  readonly stage: string;
  /** In place of Kafka Connect's class of an exception. */
  readonly exception: string;
}

const KINDS = {
  DESERIALIZATION: { stage: "VALUE_CONVERTER", exception: "DeserializationError" },
  VALIDATION: { stage: "TASK_PUT", exception: "ValidationError" },
  PROCESSING: { stage: "TASK_PUT", exception: "ProcessingError" },
  TIMEOUT: { stage: "TASK_PUT", exception: "TimeoutError" },
  UNKNOWN: { stage: "TASK_PUT", exception: "Error" },
} as const satisfies Readonly<Record<string, FailureKind>>;

/** Why a record is a dead letter, in the contract's words. */
export type FailureReason = keyof typeof KINDS;

/** All of them, in the contract's order. */
export const FAILURE_REASONS = Object.keys(KINDS) as readonly FailureReason[];

export interface RecordFailure {
  readonly reason: FailureReason;
  /** What was expected and seen; may quote the record. For the journal and the dead letter. */
  readonly message: string;
  /** The same without any value of the record, for logs; left out where nothing can be said without one. */
  readonly messageWithoutValues?: string;
}

/** Returns what a log may say of a failure. */
export function loggedMessageOf(
  { message, messageWithoutValues }: Pick<RecordFailure, "message" | "messageWithoutValues">,
  { logValues }: { readonly logValues: boolean },
): string | undefined {
  return logValues ? message : messageWithoutValues;
}

/** Returns the reason of this name; `UNKNOWN` for any other text. */
export function failureReasonOf(text: string | undefined): FailureReason {
  return FAILURE_REASONS.find((reason) => reason === text) ?? "UNKNOWN";
}

/** Returns what a letter says of a failure. */
export function failureKindOf(reason: FailureReason): FailureKind {
  return KINDS[reason];
}
