/**
 * Creates the dead-letter topic, and reads the settings that letters must comply with.
 */

import type { ClusterClient } from "../kafka/cluster.ts";
import type { TopicDescription } from "../kafka/cluster_answers.ts";
import { RefusedError } from "../kafka/errors.ts";
import { DEAD_LETTER_TOPIC_CONFIG, KEEPS_OLD_RECORDS } from "./dead_letter_config.ts";

export interface DeadLetterTopic {
  readonly partitionCount: number;
  /** Undefined if this user may not read the topic's settings. */
  readonly isCompacted: boolean | undefined;
}

export { DEAD_LETTER_TOPIC_CONFIG };

type Cluster = Pick<ClusterClient, "ensureTopic" | "findTopic" | "topicConfig">;

/**
 * Returns the dead-letter topic, and creates it if it is missing. Falls back to fewer settings: brokers before Kafka
 * 3.6 have no settings for timestamp bounds, and some clusters' policies allow fewer settings.
 *
 * @throws {RefusedError} if the cluster refuses.
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

/** Returns the current state of the dead-letter topic; undefined if it does not exist. */
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
    if (error instanceof RefusedError) return undefined; // no DescribeConfigs permission
    throw error;
  }
}
