/**
 * Searches a partition for a batch whose fate is unknown.
 *
 * A broker stores a batch completely or not at all, so its records are contiguous. The request may still be on its way
 * to the broker during the search, for example after the connection broke. Hence two searches, one second apart. The
 * protocol offers nothing better to a producer without transactions.
 */

import { delay } from "../async.ts";
import type { KafkaConnection } from "./client.ts";
import { ClusterClient } from "./cluster.ts";
import { authenticationFailureOf } from "./authentication_failure.ts";
import { BrokerUnreachableError, isAuthenticationFailure } from "./errors.ts";
import type { OutgoingRecord } from "../record.ts";
import { TopicReader } from "./topic_reader.ts";

const SEARCH_COUNT = 2;
/** Time before each search: longer than a request waits in the queue of a working broker. */
const SEARCH_WAIT_MS = 1_000;

export interface StoredBatchQuery {
  readonly topic: string;
  readonly partition: number;
  /** At least one. */
  readonly records: readonly OutgoingRecord[];
  readonly fromOffset: number;
  /** Called before each attempt; false cancels the search. */
  readonly isWanted: () => boolean;
}

/**
 * Returns the batch's first offset, or undefined if it is not in the topic. Takes at least two seconds if it is not,
 * and waits as long as no broker answers.
 *
 * @throws {RefusedError} if this user may not read the topic.
 */
export async function findStoredBatch(
  connection: KafkaConnection,
  query: StoredBatchQuery,
): Promise<{ readonly baseOffset: number } | undefined> {
  for (let searches = 0; searches < SEARCH_COUNT && query.isWanted();) {
    await delay(SEARCH_WAIT_MS);
    try {
      const baseOffset = await searchOnce(connection, query);
      if (baseOffset !== undefined) return { baseOffset };
      searches++;
    } catch (error) {
      if (isAuthenticationFailure(error)) authenticationFailureOf(connection).noteRefused(error);
      else if (!(error instanceof BrokerUnreachableError)) throw error;
    }
  }
  return undefined;
}

async function searchOnce(
  connection: KafkaConnection,
  { topic, partition, records, fromOffset }: StoredBatchQuery,
): Promise<number | undefined> {
  await using cluster = await ClusterClient.connect(connection, "probe");
  const [range] = await cluster.offsets(topic, [partition]);
  await using reader = await TopicReader.connect(connection, "probe");
  const wanted = records.map(fingerprint);
  let matched: number[] = [];
  const start = Math.max(fromOffset, range?.low ?? 0);
  for await (const seen of reader.read({ topic, partition, start, end: range?.high ?? 0 })) {
    for (const record of seen) {
      const print = fingerprint(record);
      if (print !== wanted[matched.length] || !follows(record.offset, matched)) matched = [];
      if (print === wanted[matched.length]) matched.push(record.offset);
      if (matched.length === wanted.length) return matched[0];
    }
  }
  return undefined;
}

/** A batch, and the offset at which the broker acknowledged it. */
export interface PlacedBatch {
  readonly partition: number;
  readonly baseOffset: number;
  readonly records: readonly OutgoingRecord[];
}

/** Returns for each batch whether the topic has its records at the acknowledged offsets. */
export async function areStored(
  connection: KafkaConnection,
  { topic, batches }: { readonly topic: string; readonly batches: readonly PlacedBatch[] },
): Promise<readonly boolean[]> {
  await using cluster = await ClusterClient.connect(connection, "probe");
  const ranges = new Map((await cluster.allOffsets(topic)).map((each) => [each.partition, each]));
  await using reader = await TopicReader.connect(connection, "probe");
  const stored: boolean[] = [];
  for (const { partition, baseOffset: start, records } of batches) {
    const { low = 0, high = 0 } = ranges.get(partition) ?? {};
    const end = start + records.length;
    const wanted = new Map(records.map((record, index) => [start + index, fingerprint(record)]));
    if (start >= low && end <= high) {
      for await (const seen of reader.read({ topic, partition, start, end })) {
        for (const record of seen) {
          if (wanted.get(record.offset) === fingerprint(record)) wanted.delete(record.offset);
        }
      }
    }
    stored.push(wanted.size === 0);
  }
  return stored;
}

function follows(offset: number, matched: readonly number[]): boolean {
  const last = matched.at(-1);
  return last === undefined || offset === last + 1;
}

function fingerprint(
  { key, value }: { readonly key: Uint8Array | null; readonly value: Uint8Array | null },
): string {
  return `${key?.toBase64() ?? "-"} ${value?.toBase64() ?? "-"}`;
}
