/**
 * Makes kafkajs's consumers fetch record batches as bytes, which we check and decode (`committed_records.ts`). kafkajs
 * sees one message per partition, at the offset of the last record, so that it continues from there.
 *
 * kafkajs itself verifies no checksum and builds seven objects per record. It lets aborted records through if a key is
 * four zero bytes, or if a fetch begins inside two overlapping aborted transactions. If the offset is out of range, it
 * silently jumps to the first offset by committing "earliest" for the group.
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

/** The message that represents a partition's batches in kafkajs's `Batch`. */
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

export interface FetchPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

export interface FetchHooks {
  /** Returns the leader epoch of the record before the offset, which the broker compares; undefined if not known. */
  readonly lastFetchedEpoch: (place: FetchPlace) => number | undefined;
  /**
   * Called if the log cannot be read from this offset: it is out of range, or the log diverges from what was fetched
   * before. kafkajs gets an empty response.
   *
   * @param divergingEpoch as in the broker's response.
   */
  readonly onMisplaced: (place: FetchPlace, divergingEpoch: EpochEnd | undefined) => void;
  /** Called with the partitions of each response, before any of their records is handed over. */
  readonly onFetched: (partitions: readonly FetchedPartition[]) => void;
}

/** Smallest share of the configured fetch sizes that is requested. */
const SHARE_MIN = 1 / 16;
const SHARE_AFTER_TIMEOUT = 1 / 4;
const SHARE_AFTER_ANSWER = 1.25;
/** A first batch is sent whole, whatever size was requested, so the timeout grows too, up to less than a session's. */
const FETCH_TIMEOUT_MS_MIN = 3_000;
const FETCH_TIMEOUT_MS_MAX = 8_000;
const OFFSET_OUT_OF_RANGE = 1;

/**
 * Enables {@link fetchedIn} for one consumer; other consumers in this process are not affected.
 *
 * @param cluster the consumer's connections, as passed to its partition assigner.
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

/** Returns the bytes fetched for the batch's partition; undefined if it is empty. */
export function fetchedIn(batch: Batch): FetchedBytes | undefined {
  const [standIn] = batch.messages as unknown as readonly StandIn[];
  if (standIn === undefined) return undefined;
  const { topic, partition, records, abortedTransactions } = standIn.fetched;
  const { fetchedOffset } = batch as Batch & { readonly fetchedOffset: string };
  return { topic, partition, start: Number(fetchedOffset), bytes: records, abortedTransactions };
}

/** Decodes a response to the form that kafkajs expects. */
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
  // Never before the requested offset: kafkajs would skip it. Corrupt bytes are the decoder's concern.
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
 * Fetches, and adapts the size of later fetches: smaller after a timeout, larger again after a response. Otherwise a
 * consumer on a slow connection would request the same megabytes forever.
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
      requestTimeout: Math.min(FETCH_TIMEOUT_MS_MIN / share, FETCH_TIMEOUT_MS_MAX),
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

/** Scales the sizes, and shuffles the partitions, because a broker fills its response from the first one on. */
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
