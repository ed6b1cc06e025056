/**
 * A delivery to the topic of a cluster, and what it has to say to the person who watches the run.
 */

import type { KafkaConnection } from "../kafka/client.ts";
import { reasonOf } from "../kafka/errors.ts";
import { areStored, findStoredBatch } from "../kafka/stored_batch.ts";
import { loggerOf } from "../log.ts";
import { tracedSend } from "../telemetry.ts";
import type { Accounts } from "./accounts.ts";
import { Delivery, type DeliveryReport } from "./delivery.ts";
import type { OpenedProducer } from "./open.ts";
import type { ProducerOptions } from "./options.ts";
import { OutageWatch } from "./outage_watch.ts";
import type { OrderRouter } from "./routing.ts";
import type { TopicChange } from "./topic_watch.ts";

/** Half of what a broker takes by default (`max.message.bytes`). */
const BATCH_BYTES_MAX = 512 * 1024;

const log = loggerOf("producer");

export interface ClusterDeliveryOptions {
  readonly connection: KafkaConnection;
  readonly options: Pick<ProducerOptions, "topic" | "compression" | "headers">;
  readonly opened: OpenedProducer;
  /** Follows the topic's partitions. */
  readonly router: OrderRouter;
  readonly accounts: Accounts;
  readonly onReport: (report: DeliveryReport) => void;
}

export interface ClusterDelivery extends Disposable {
  readonly delivery: Delivery;
}

export function openDelivery(
  { connection, options, opened, router, accounts, onReport }: ClusterDeliveryOptions,
): ClusterDelivery {
  const { topic, compression, headers } = options;
  const { producers, throttling, found, findTopic, startOffsets } = opened;
  const delivery: Delivery = new Delivery({
    topic: found,
    findTopic,
    batchBytesMax: BATCH_BYTES_MAX,
    headers,
    startOffsets,
    send: (partition, records) =>
      tracedSend({
        topic,
        partition,
        records,
        isPropagated: true,
        reasonOf,
        send: (records) => producers.send({ topic, partition, records, compression }),
      }),
    findStored: (partition, records, search) =>
      findStoredBatch(connection, { topic, partition, records, ...search }),
    areStored: (batches) => areStored(connection, { topic, batches }),
    watched: (partition, deliver) => outage.watched(partition, deliver),
    onTopicChange(change) {
      noteChange(topic, change);
      router.resize(change.partitionCount);
      producers.renew();
    },
    onTopicMissing: () =>
      log.warn("The topic does not exist any more; orders wait until it is created again", {
        topic,
      }),
    partitionOf: (record) => router.partitionOf(record),
    onLookup: (result, recordCount) => accounts.noteLookup(result, recordCount),
    onReport,
  });
  const outage = new OutageWatch({
    log,
    unsettledCount: () => delivery.unsettledCount,
    isThrottled: () => throttling.isThrottled,
  });
  return { delivery, [Symbol.dispose]: () => outage[Symbol.dispose]() };
}

function noteChange(topic: string, { isRecreated, topicId, partitionCount }: TopicChange): void {
  if (isRecreated) {
    log.warn("The topic was deleted and created again; what it held is gone", {
      topic,
      topic_id: topicId,
      partitions: partitionCount,
    });
  } else {
    log.info("The topic has more partitions; orders go to them, too", {
      topic,
      partitions: partitionCount,
    });
  }
}
