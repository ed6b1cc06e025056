/**
 * A topic and its journal in memory, so that thousands of damaged journals can be verified in a second. The comparison
 * is the real one; the records come from a list and the files from a map.
 */

import type { KafkaRecord } from "../../lib/record.ts";
import type { FileFacts, Storage, StoredFile } from "../../lib/journal/storage.ts";
import { compareJournals, type CompareOptions } from "../../lib/verify/compare.ts";
import type { Verification } from "../../lib/verify/verification.ts";

export const TOPIC = "orders";
export const TOPIC_ID = "5f0c2f5e00004000800000000000000a";
export const FOLDER = "a folder in memory";

/** The files of one folder by name. */
export type MemoryFiles = ReadonlyMap<string, Uint8Array>;

/**
 * Verifies the journal in `files` against the topic's records, which are sorted by offset. An open transaction holds
 * back the records between the last one and `highWatermark`.
 */
export async function verifyInMemory(
  files: MemoryFiles,
  records: readonly KafkaRecord[],
  { highWatermark = 0, ...options }: Partial<CompareOptions> & { readonly highWatermark?: number } =
    {},
): Promise<Verification> {
  const ofPartition = (partition: number) =>
    records.filter((record) => record.partition === partition);
  const partitionCount = Math.max(...records.map(({ partition }) => partition)) + 1;
  const endOf = (partition: number) => (ofPartition(partition).at(-1)?.offset ?? -1) + 1;
  return await compareJournals({
    topic: TOPIC,
    directories: [FOLDER],
    storage: memoryStorage(files),
    reader: {
      async *scan({ partition, start, end }) {
        yield await Promise.resolve(
          ofPartition(partition).filter(({ offset }) => offset >= start && offset < end),
        );
      },
    },
    cluster: {
      describeTopic: () => Promise.resolve({ topic: TOPIC, topicId: TOPIC_ID, partitionCount }),
      offsets: (_topic, partitions) =>
        Promise.resolve(partitions.map((partition) => {
          const high = endOf(partition);
          return { partition, low: 0, high, highWatermark: Math.max(high, highWatermark) };
        })),
      topicConfig: () => Promise.resolve(undefined),
      epochEnd: ({ partition, epoch }) => {
        const log = ofPartition(partition);
        const isOlder = ({ leaderEpoch = 0 }: KafkaRecord) => leaderEpoch <= epoch;
        const last = log.findLast(isOlder)?.leaderEpoch;
        return Promise.resolve({
          leaderEpoch: log.at(-1)?.leaderEpoch ?? 0,
          end: last === undefined ? undefined : {
            epoch: last,
            endOffset: log.find((record) => !isOlder(record))?.offset ?? endOf(partition),
          },
        });
      },
    },
    ...options,
  });
}

/** Returns the files as read-only storage. */
export function memoryStorage(files: MemoryFiles): Storage {
  const find = (path: string) => files.get(path.replace(`${FOLDER}/`, ""));
  return {
    open(path) {
      const bytes = find(path);
      return bytes === undefined
        ? Promise.reject(new Deno.errors.NotFound(path))
        : Promise.resolve(new MemoryFile(path, bytes));
    },
    stat: (path) => {
      const bytes = find(path);
      return Promise.resolve(bytes && { bytes: bytes.length, identity: path });
    },
    list: () => Promise.resolve([...files.keys()]),
    rename: refuse,
    remove: refuse,
    createDirectory: refuse,
    syncDirectory: refuse,
  };
}

class MemoryFile implements StoredFile {
  readonly #path: string;
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(path: string, bytes: Uint8Array) {
    this.#path = path;
    this.#bytes = bytes;
  }

  read(into: Uint8Array): Promise<number | null> {
    const part = this.#bytes.subarray(this.#position, this.#position + into.length);
    into.set(part);
    this.#position += part.length;
    return Promise.resolve(part.length === 0 ? null : part.length);
  }

  seek(position: number): Promise<void> {
    this.#position = position;
    return Promise.resolve();
  }

  stat(): Promise<FileFacts> {
    return Promise.resolve({ bytes: this.#bytes.length, identity: this.#path });
  }

  close(): void {}
  write = refuse;
  truncate = refuse;
  syncData = refuse;
  tryLock = refuse;
}

function refuse(): Promise<never> {
  return Promise.reject(new Error("verify only reads"));
}

/** Returns the nonzero counts. */
export function countsOf(verification: Verification): Record<string, number> {
  return Object.fromEntries(
    Object.entries(verification).filter((entry): entry is [string, number] =>
      typeof entry[1] === "number" && entry[1] !== 0
    ),
  );
}
