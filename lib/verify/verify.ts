/**
 * Entry points of `tracker verify`; see `compare.ts` for the comparison.
 */

import type { KafkaConnection } from "../kafka/client.ts";
import { ClusterClient } from "../kafka/cluster.ts";
import { TopicReader } from "../kafka/topic_reader.ts";
import { compareJournals, type CompareOptions, type VerifyScope } from "./compare.ts";
import { requireJournals } from "../journal/segment_listing.ts";
import type { Verification } from "./verification.ts";

export type { VerifyProgress, VerifyScope } from "./compare.ts";

/** The scope of a verification, and how to connect to the cluster. */
export interface VerifyTopicOptions extends VerifyScope {
  /** Connection settings of the cluster. */
  readonly connection: KafkaConnection;
}

/** {@link VerifyTopicOptions} with a connection for questions about the topic. */
export interface VerifyOptions extends VerifyTopicOptions {
  /** A client of the same cluster; records are read through separate connections. */
  readonly cluster: CompareOptions["cluster"];
}

/** Verifies like {@link verifyJournals}, with a connection of its own. */
export async function verifyTopic(options: VerifyTopicOptions): Promise<Verification> {
  await using cluster = await ClusterClient.connect(options.connection, "probe");
  await cluster.requireTopic(options.topic);
  return await verifyJournals({ ...options, cluster });
}

/**
 * Compares a topic with its journals.
 *
 * @throws {Error} if a folder holds no journal, or the topic was created again meanwhile; {RefusedError} if there is
 * no such topic, or the cluster refuses; {BrokerUnreachableError}.
 */
export async function verifyJournals(options: VerifyOptions): Promise<Verification> {
  await requireJournals(options.directories);
  await using reader = await TopicReader.connect(options.connection, "probe");
  return await compareJournals({ ...options, reader });
}
