/**
 * The topics of a redrive: the dead letters, and the target of their records.
 */

import { delay } from "../async.ts";
import type { KafkaConnection } from "../kafka/client.ts";
import { ClusterClient } from "../kafka/cluster.ts";
import type { TopicDescription } from "../kafka/cluster_answers.ts";
import type { Words } from "./interruptions.ts";
import { transactionalIdOf } from "./redrive_session.ts";

/** A broker that has just started may not know the topics yet. */
const MISSING_ATTEMPTS_MAX = 10;
const MISSING_WAIT_MS = 250;

/**
 * Returns both topics, and checks that this user may do with them what the redrive does.
 *
 * @throws {RefusedError} if one is missing, or a permission.
 */
export async function findTopics(
  { connection, deadLetterTopic, topic, isDryRun }: {
    readonly connection: KafkaConnection;
    readonly deadLetterTopic: string;
    readonly topic: string;
    readonly isDryRun: boolean;
  },
): Promise<{ readonly target: TopicDescription; readonly letters: TopicDescription }> {
  await using cluster = await ClusterClient.connect(connection, "probe");
  const target = await cluster.requireTopic(topic);
  const letters = await cluster.requireTopic(
    deadLetterTopic,
    "nothing was dead-lettered yet, or it goes to another topic (--dead-letters)",
  );
  await cluster.requirePermission("Read", deadLetterTopic);
  if (!isDryRun) {
    await cluster.requirePermission("Write", topic);
    await cluster.requireTransactionalId(transactionalIdOf(deadLetterTopic));
  }
  return { target, letters };
}

/**
 * Checks that a topic is still the one that was described. One that was created again has other letters at the same
 * offsets, or other partitions.
 *
 * @throws {Error} if it is not.
 */
export async function confirmTopic(
  cluster: Pick<ClusterClient, "findTopic">,
  { topic, topicId }: TopicDescription,
  { name, done }: Pick<Words, "name" | "done"> = { name: "redrive", done: "redriven" },
): Promise<void> {
  for (let attempt = 1; attempt <= MISSING_ATTEMPTS_MAX; attempt++) {
    const found = await cluster.findTopic(topic);
    if (found?.topicId === topicId) return;
    if (found !== undefined) break;
    await delay(MISSING_WAIT_MS);
  }
  throw new Error(
    `topic "${topic}" was deleted or created again during the ${name}: ` +
      `what was ${done} is recorded; run it again for what is there now`,
  );
}
