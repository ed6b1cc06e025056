/**
 * Looks in a partition for a batch of which nobody knows whether it was stored.
 *
 * A broker stores a batch whole or not at all, so its records stand side by side. What cannot be excluded:
 * a request that is still on its way to the broker when it is looked for, as after a connection that
 * broke. Hence two looks, some time apart; the protocol has no better answer for a producer without
 * transactions.
 *
 * @module
 */

import { delay } from "../async.ts";
import type { KafkaConnection } from "./client.ts";
import { ClusterClient } from "./cluster.ts";
import { BrokerUnreachableError, isLockedOut } from "./errors.ts";
import { lockoutOf } from "./lockout.ts";
import type { OutgoingRecord } from "../record.ts";
import { TopicReader } from "./topic_reader.ts";

const LOOKS = 2;
/** Before each look: longer than a request lies in the queue of a broker that works. */
const LOOK_WAIT_MS = 1_000;

export interface StoredBatchQuery {
  readonly topic: string;
  readonly partition: number;
  /** At least one. */
  readonly records: readonly OutgoingRecord[];
  /** Where the search begins. */
  readonly fromOffset: number;
  /** Asked between attempts, while no broker answers or the cluster does not let us in. */
  readonly isWanted: () => boolean;
}

/**
 * The batch's first offset, or undefined where it is not in the topic. Takes two seconds at least, and as
 * long as no broker answers.
 *
 * @throws {RefusedError} where the topic may not be read.
 */
export async function findStoredBatch(
  connection: KafkaConnection,
  query: StoredBatchQuery,
): Promise<{ readonly baseOffset: number } | undefined> {
  for (let look = 0; look < LOOKS && query.isWanted();) {
    await delay(LOOK_WAIT_MS);
    try {
      const baseOffset = await lookOnce(connection, query);
      if (baseOffset !== undefined) return { baseOffset };
      look++;
    } catch (error) {
      if (isLockedOut(error)) lockoutOf(connection).noteRefused(error);
      else if (!(error instanceof BrokerUnreachableError)) throw error;
    }
  }
  return undefined;
}

async function lookOnce(
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

/** A batch and the place at which a broker said that it stored it. */
export interface PlacedBatch {
  readonly partition: number;
  readonly baseOffset: number;
  readonly records: readonly OutgoingRecord[];
}

/** Returns for each batch whether the topic has it at its place. */
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
