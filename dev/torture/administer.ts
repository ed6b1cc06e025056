/**
 * Changes topics, retrying for as long as other faults prevent it.
 */

import type { Admin, Kafka } from "kafkajs";
import { delay } from "../../lib/async.ts";

const PERSIST_MS = 60_000;
const RETRY_MS = 100;

/**
 * Retries while the cluster cannot do it. Uses a new client each time: after a request about a deleted topic, kafkajs
 * answers every request with that topic's error.
 */
export async function administer<Result>(
  kafka: Kafka,
  work: (admin: Admin) => Promise<Result>,
): Promise<Result> {
  const deadline = performance.now() + PERSIST_MS;
  for (;;) {
    const admin = kafka.admin();
    try {
      await admin.connect();
      return await work(admin);
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await delay(RETRY_MS);
    } finally {
      await admin.disconnect().catch(() => {});
    }
  }
}

/** Does nothing if it exists. */
export async function createTopic(
  admin: Admin,
  topic: { topic: string; numPartitions: number; replicationFactor?: number },
  config: Readonly<Record<string, string>>,
): Promise<void> {
  const topics = [{ ...topic, configEntries: entriesOf(config) }];
  // kafkajs's own wait for leaders can fail for a new topic.
  await admin.createTopics({ topics, waitForLeaders: false });
}

export function entriesOf(config: Readonly<Record<string, string>>) {
  return Object.entries(config).map(([name, value]) => ({ name, value }));
}
