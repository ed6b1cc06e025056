/**
 * One run's hold on the redriving of a dead-letter topic: a {@link ResendSession} whose log names letters.
 */

import type { KafkaConnection } from "../kafka/client.ts";
import { TransactionalProducer } from "../kafka/transactional_producer.ts";
import { RedriveLog, redriveLogTopicOf, type RedriveScope } from "./redrive_log.ts";
import {
  ResendSession,
  type ResendSessionOptions,
  TRANSACTION_TIMEOUT_MS,
  type TransactionalSender,
} from "./resend_session.ts";

export type RedriveSession = ResendSession<RedriveLog, TransactionalSender>;

export interface RedriveSessionOptions
  extends Pick<ResendSessionOptions<RedriveLog, TransactionalSender>, "cluster" | "reader"> {
  readonly connection: KafkaConnection;
  readonly scope: RedriveScope;
  /** Default {@link TransactionalProducer.open}. */
  readonly openSender?: ((transactionalId: string) => Promise<TransactionalSender>) | undefined;
}

export function redriveSession(
  { connection, cluster, reader, scope, openSender }: RedriveSessionOptions,
): RedriveSession {
  const transactionalId = transactionalIdOf(scope.deadLetterTopic);
  return new ResendSession<RedriveLog, TransactionalSender>({
    cluster,
    reader,
    logTopic: redriveLogTopicOf(scope.deadLetterTopic),
    log: new RedriveLog(scope),
    done: "redriven",
    openSender: async () =>
      await (openSender?.(transactionalId) ?? TransactionalProducer.open(connection, {
        transactionalId,
        transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
      })),
  });
}

/** Returns the transactional id that all redrives of a dead-letter topic share, as they share its log. */
export function transactionalIdOf(deadLetterTopic: string): string {
  return `orderflow.redrive.${deadLetterTopic}`;
}
