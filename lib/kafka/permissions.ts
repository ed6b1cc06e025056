/**
 * What this user may do with a topic, as brokers tell it with the topic's description (KIP-430): asked before the
 * work begins, where the first record would else find out.
 *
 * @module
 */

/** Kafka's names of operations, as an operator gives them in an ACL. */
export type TopicOperation = "Read" | "Write";

/** The number of the bit that stands for it. */
const BITS: Readonly<Record<TopicOperation, number>> = { Read: 3, Write: 4 };

/** What a broker answers that knows nothing of permissions. */
const NOT_TOLD = -(2 ** 31);

/** @param operations the bits of `topic_authorized_operations`. */
export function isPermitted(operations: number, operation: TopicOperation): boolean {
  return operations === NOT_TOLD || (operations & (1 << BITS[operation])) !== 0;
}
