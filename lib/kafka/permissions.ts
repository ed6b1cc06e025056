/**
 * Decodes this user's permissions on a topic (KIP-430), so that a missing permission is found before the first record.
 */

export type TopicOperation = "Read" | "Write";

const BITS: Readonly<Record<TopicOperation, number>> = { Read: 3, Write: 4 };

/** Sent by a broker that does not report permissions. */
const NOT_REPORTED = -(2 ** 31);

/**
 * Reports whether the operation is permitted; true if the broker does not report permissions.
 *
 * @param operations the bit field `topic_authorized_operations`.
 */
export function isPermitted(operations: number, operation: TopicOperation): boolean {
  return operations === NOT_REPORTED || (operations & (1 << BITS[operation])) !== 0;
}
