/**
 * The contract's reasons for a failed record, with Kafka Connect's terms for each. The only list of reasons.
 */

/** The headers of a letter, in the terms of Kafka Connect's sink tasks. */
interface FailureKind {
  readonly stage: string;
  /** Takes the place of Kafka Connect's exception class. */
  readonly exception: string;
}

const KINDS = {
  DESERIALIZATION: { stage: "VALUE_CONVERTER", exception: "DeserializationError" },
  VALIDATION: { stage: "TASK_PUT", exception: "ValidationError" },
  PROCESSING: { stage: "TASK_PUT", exception: "ProcessingError" },
  TIMEOUT: { stage: "TASK_PUT", exception: "TimeoutError" },
  UNKNOWN: { stage: "TASK_PUT", exception: "Error" },
} as const satisfies Readonly<Record<string, FailureKind>>;

/** The reason for a dead letter, as named by the contract. */
export type FailureReason = keyof typeof KINDS;

/** All reasons, in the contract's order. */
export const FAILURE_REASONS = Object.keys(KINDS) as readonly FailureReason[];

export interface RecordFailure {
  readonly reason: FailureReason;
  /** The expected and the actual value, for the journal and the dead letter; may quote the record. */
  readonly message: string;
  /** The same without values of the record, for logs; absent if impossible. */
  readonly messageWithoutValues?: string;
}

/** Returns the message that may be logged. */
export function loggedMessageOf(
  { message, messageWithoutValues }: Pick<RecordFailure, "message" | "messageWithoutValues">,
  { logValues }: { readonly logValues: boolean },
): string | undefined {
  return logValues ? message : messageWithoutValues;
}

export function failureReasonOf(text: string | undefined): FailureReason {
  return FAILURE_REASONS.find((reason) => reason === text) ?? "UNKNOWN";
}

export function failureKindOf(reason: FailureReason): FailureKind {
  return KINDS[reason];
}
