/**
 * The topic of the dead letters, seen from outside: how it is created, and what of its settings a letter must
 * follow.
 *
 * @module
 */

import type { ClusterClient } from "../kafka/cluster.ts";
import type { TopicDescription } from "../kafka/cluster_answers.ts";
import { RefusedError } from "../kafka/errors.ts";
import { DEAD_LETTER_TOPIC_CONFIG, KEEPS_OLD_RECORDS } from "./dead_letter_config.ts";

/** What a letter must follow. */
export interface DeadLetterTopic {
  readonly partitionCount: number;
  /** Undefined where this user may not read the topic's settings. */
  readonly isCompacted: boolean | undefined;
}

export { DEAD_LETTER_TOPIC_CONFIG };

type Cluster = Pick<ClusterClient, "ensureTopic" | "findTopic" | "topicConfig">;

/**
 * Returns the dead-letter topic, created where it is missing. Brokers before Kafka 3.6 have no timestamp
 * bounds to set, and by default none in force; some clusters' policies allow fewer settings.
 *
 * @throws {RefusedError} where the cluster refuses.
 */
export async function ensureDeadLetterTopic(
  cluster: Cluster,
  topic: string,
  partitionCount: number,
): Promise<DeadLetterTopic> {
  const ensure = (config: Readonly<Record<string, string>>) =>
    cluster.ensureTopic(topic, { partitionCount, config });
  try {
    return await describe(cluster, await ensure(DEAD_LETTER_TOPIC_CONFIG));
  } catch (error) {
    const isAboutSettings = error instanceof RefusedError && REFUSED_SETTINGS.has(error.reason);
    if (!isAboutSettings) throw error;
    return await describe(cluster, await ensure(KEEPS_OLD_RECORDS));
  }
}

const REFUSED_SETTINGS: ReadonlySet<string> = new Set(["INVALID_CONFIG", "POLICY_VIOLATION"]);

/** Returns the dead-letter topic as it is now; undefined where there is none. */
export async function findDeadLetterTopic(
  cluster: Cluster,
  topic: string,
): Promise<DeadLetterTopic | undefined> {
  const found = await cluster.findTopic(topic);
  return found && await describe(cluster, found);
}

async function describe(
  cluster: Cluster,
  { topic, partitionCount }: TopicDescription,
): Promise<DeadLetterTopic> {
  return { partitionCount, isCompacted: await isCompacted(cluster, topic) };
}

async function isCompacted(cluster: Cluster, topic: string): Promise<boolean | undefined> {
  try {
    const policy = await cluster.topicConfig(topic, "cleanup.policy");
    return policy?.split(",").some((part) => part.trim() === "compact");
  } catch (error) {
    if (error instanceof RefusedError) return undefined; // the permission DescribeConfigs is missing
    throw error;
  }
}
