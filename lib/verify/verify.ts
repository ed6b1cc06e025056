/**
 * Entry points of `tracker verify`; `compare.ts` says how a topic is compared with its journals.
 *
 * @module
 */

import type { KafkaConnection } from "../kafka/client.ts";
import { ClusterClient } from "../kafka/cluster.ts";
import { TopicReader } from "../kafka/topic_reader.ts";
import { compareJournals, type CompareOptions, type VerifyScope } from "./compare.ts";
import { requireJournals } from "../journal/journal_files.ts";
import type { Verification } from "./verification.ts";

export type { VerifyProgress, VerifyScope } from "./compare.ts";

/** What to compare with what, and how to reach the cluster. */
export interface VerifyTopicOptions extends VerifyScope {
  /** The way to the cluster. */
  readonly connection: KafkaConnection;
}

/** {@link VerifyTopicOptions}, with a connection for questions about the topic. */
export interface VerifyOptions extends VerifyTopicOptions {
  /** Of the same cluster: records are read through connections of their own. */
  readonly cluster: CompareOptions["cluster"];
}

/** {@link verifyJournals} through a connection of its own. */
export async function verifyTopic(options: VerifyTopicOptions): Promise<Verification> {
  await using cluster = await ClusterClient.connect(options.connection, "probe");
  await cluster.requireTopic(options.topic);
  return await verifyJournals({ ...options, cluster });
}

/**
 * Compares a topic with the journals of it.
 *
 * @throws {Error} where a folder holds no journal, or the topic was created again meanwhile;
 * {RefusedError} where there is no such topic, or the cluster refuses; {BrokerUnreachableError}.
 */
export async function verifyJournals(options: VerifyOptions): Promise<Verification> {
  await requireJournals(options.directories);
  await using reader = await TopicReader.connect(options.connection, "probe");
  return await compareJournals({ ...options, reader });
}
