/**
 * Has kafkajs's consumers fetch record batches as bytes, to be checked and decoded by us
 * (`committed_records.ts`). kafkajs sees one message in place of all that came of a partition: at the
 * offset of the last record, so that it reads on from there.
 *
 * By itself it checks no checksum, builds seven objects a record, and lets aborted records through where
 * a key is four zero bytes, or where a fetch begins inside two overlapping aborted transactions. At an offset
 * that is out of range it jumps to the first one there is, in silence, by a commit of "earliest" in place of
 * the group's own.
 *
 * @module
 */

import type { Batch } from "kafkajs";
import fetchResponseModule from "kafkajs/src/protocol/requests/fetch/v11/response.js";
import shuffleModule from "kafkajs/src/utils/shuffle.js";
import type { FetchedBytes } from "../protocol/committed_records.ts";
import {
  decodeFetchResponse,
  encodeFetchRequest,
  type FetchedPartition,
  type FetchOptions,
} from "./raw_fetch.ts";
import type { EpochEnd } from "../protocol/offset_for_leader_epoch.ts";
import { lastOffsetIn } from "../protocol/record_batch.ts";

/** What stands for a partition's batches in kafkajs's own `Batch`. */
interface StandIn {
  readonly offset: string;
  readonly isControlRecord: false;
  readonly fetched: FetchedPartition;
}

interface ClientBroker {
  readonly connectionPool: { send(call: object): Promise<unknown> };
  disconnect(): Promise<void>;
  fetch(options: FetchOptions): Promise<unknown>;
}

interface ClientCluster {
  findBroker(node: { readonly nodeId: string }): Promise<ClientBroker>;
}

/** A partition and the offset at which it is fetched. */
export interface FetchPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** What a consumer knows of its fetches and is told of them. */
export interface FetchHooks {
  /** Returns the leader epoch of the record before the offset, for the broker to compare; undefined: unknown. */
  readonly lastFetchedEpoch: (place: FetchPlace) => number | undefined;
  /**
   * Called where a log has nothing to read on from at this offset: it is out of range, or the log diverges from what
   * was fetched before. kafkajs is given an empty answer.
   *
   * @param divergingEpoch as in the broker's answer.
   */
  readonly onMisplaced: (place: FetchPlace, divergingEpoch: EpochEnd | undefined) => void;
  /** Called with what each answer says of its partitions, before any of their records is handed over. */
  readonly onFetched: (partitions: readonly FetchedPartition[]) => void;
}

/** Of what the options allow, so much is asked for at the least. */
const SHARE_MIN = 1 / 16;
const SHARE_AFTER_TIMEOUT = 1 / 4;
const SHARE_AFTER_ANSWER = 1.25;
/** A batch comes in whole, whatever was asked for, so it is given more time too: less than a session's. */
const PATIENCE_MS_MIN = 3_000;
const PATIENCE_MS_MAX = 8_000;
const OFFSET_OUT_OF_RANGE = 1;

/**
 * Makes {@link fetchedIn} work for one consumer; other consumers in this process are left as they are.
 *
 * @param cluster that of the consumer, as its partition assigner is given it.
 */
export function fetchBytes(cluster: object, hooks: FetchHooks): void {
  const client = cluster as ClientCluster;
  const { findBroker } = client;
  const shares = new WeakMap<ClientBroker, number>();
  client.findBroker = async (node) => {
    const broker = await findBroker.call(client, node);
    broker.fetch = (options) => fetchFrom(broker, { options, shares, hooks });
    return broker;
  };
}

/** What was fetched of the batch's partition; undefined where nothing was. */
export function fetchedIn(batch: Batch): FetchedBytes | undefined {
  const [standIn] = batch.messages as unknown as readonly StandIn[];
  if (standIn === undefined) return undefined;
  const { topic, partition, records, abortedTransactions } = standIn.fetched;
  const { fetchedOffset } = batch as Batch & { readonly fetchedOffset: string };
  return { topic, partition, start: Number(fetchedOffset), bytes: records, abortedTransactions };
}

/** The answer as kafkajs expects it. */
function decodeForClient(
  payload: unknown,
  { options: { topics }, hooks }: { readonly options: FetchOptions; readonly hooks: FetchHooks },
): object {
  const { throttleMs, errorCode, partitions } = decodeFetchResponse(payload);
  hooks.onFetched(partitions);
  for (const { topic, partition, errorCode, divergingEpoch } of partitions) {
    if (errorCode !== OFFSET_OUT_OF_RANGE && divergingEpoch === undefined) continue;
    const offset = askedOffset(topics, { topic, partition });
    hooks.onMisplaced({ topic, partition, offset }, divergingEpoch);
  }
  return {
    throttleTime: 0,
    clientSideThrottleTime: throttleMs,
    errorCode,
    responses: partitions.map((fetched) => ({
      topicName: fetched.topic,
      partitions: [{
        partition: fetched.partition,
        errorCode: fetched.errorCode === OFFSET_OUT_OF_RANGE ? 0 : fetched.errorCode,
        highWatermark: String(fetched.highWatermark),
        abortedTransactions: [],
        preferredReadReplica: fetched.preferredReadReplica,
        messages: standInOf(fetched, topics),
      }],
    })),
  };
}

function standInOf(
  fetched: FetchedPartition,
  topics: FetchOptions["topics"],
): readonly StandIn[] {
  if (fetched.records.length === 0) return [];
  // Never before what was asked for: kafkajs would step past it. What the bytes are, their decoder says.
  const offset = Math.max(lastOffsetIn(fetched.records) ?? -1, askedOffset(topics, fetched));
  return [{ offset: String(offset), isControlRecord: false, fetched }];
}

function askedOffset(
  topics: FetchOptions["topics"],
  { topic, partition }: { readonly topic: string; readonly partition: number },
): number {
  const asked = topics.find((each) => each.topic === topic)
    ?.partitions.find((each) => each.partition === partition);
  return Number(asked?.fetchOffset ?? 0);
}

/**
 * An answer that did not come in time is asked for in smaller pieces, and in larger ones again as they come:
 * over a slow line a consumer would else ask for the same megabytes for ever.
 */
async function fetchFrom(
  broker: ClientBroker,
  { options, shares, hooks }: {
    options: FetchOptions;
    shares: WeakMap<ClientBroker, number>;
    hooks: FetchHooks;
  },
): Promise<unknown> {
  const share = shares.get(broker) ?? 1;
  try {
    const answer = await broker.connectionPool.send({
      request: encodeFetchRequest(withLastEpochs(shareOf(options, share), hooks)),
      response: {
        decode: (payload: unknown) => Promise.resolve(decodeForClient(payload, { options, hooks })),
        parse: fetchResponseModule.parse,
      },
      requestTimeout: Math.min(PATIENCE_MS_MIN / share, PATIENCE_MS_MAX),
    });
    shares.set(broker, Math.min(1, share * SHARE_AFTER_ANSWER));
    return answer;
  } catch (error) {
    const name = error instanceof Error ? error.name : undefined;
    if (name === "KafkaJSConnectionClosedError") await broker.disconnect();
    if (name === "KafkaJSRequestTimeoutError") {
      shares.set(broker, Math.max(SHARE_MIN, share * SHARE_AFTER_TIMEOUT));
    }
    throw error;
  }
}

/** The partitions in another order each time: a broker fills its answer from the first on. */
function shareOf(options: FetchOptions, share: number): FetchOptions {
  const bytes = (maxBytes: number) => Math.ceil(maxBytes * share);
  return {
    ...options,
    maxBytes: bytes(options.maxBytes),
    topics: options.topics.map(({ topic, partitions }) => ({
      topic,
      partitions: shuffle(partitions).map((each) => ({ ...each, maxBytes: bytes(each.maxBytes) })),
    })),
  };
}

function withLastEpochs(options: FetchOptions, { lastFetchedEpoch }: FetchHooks): FetchOptions {
  return {
    ...options,
    topics: options.topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map((each) => {
        const place = { topic, partition: each.partition, offset: Number(each.fetchOffset) };
        return { ...each, lastFetchedEpoch: lastFetchedEpoch(place) };
      }),
    })),
  };
}

const shuffle = shuffleModule as <Item>(items: readonly Item[]) => Item[];
