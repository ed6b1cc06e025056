/**
 * Finds records that cannot be judged yet: an open transaction, their own or an earlier one, hides them from readers
 * of committed records, or a running tracker has not journaled them yet.
 */

import { join } from "node:path";
import { delay } from "../async.ts";
import type { ClusterClient } from "../kafka/cluster.ts";
import type { OffsetRange } from "../kafka/cluster_answers.ts";
import { parseStatus, STATUS_BYTES_MAX, STATUS_NAME, STATUS_VALID_MS } from "../tracker_status.ts";
import { readFile, type Storage } from "../journal/storage.ts";

/** Most transactions end sooner. */
const TRANSACTION_WAIT_MS = 3_000;
const POLL_MS = 100;

/**
 * Returns the partitions' current offsets. Waits briefly for open transactions: records that stay above `high` are
 * held back by one that does not end.
 */
export async function settledOffsets(
  cluster: Pick<ClusterClient, "offsets">,
  { topic, partitions }: { readonly topic: string; readonly partitions: readonly number[] },
): Promise<readonly OffsetRange[]> {
  let offsets = await cluster.offsets(topic, partitions);
  // Records that arrive later are not judged.
  const ends = new Map(offsets.map(({ partition, highWatermark }) => [partition, highWatermark]));
  const deadline = performance.now() + TRANSACTION_WAIT_MS;
  const isSettled = ({ partition, high }: OffsetRange) => high >= (ends.get(partition) ?? 0);
  while (!offsets.every(isSettled) && performance.now() < deadline) {
    await delay(POLL_MS);
    offsets = await cluster.offsets(topic, partitions);
  }
  return offsets.map((range) => ({
    ...range,
    highWatermark: Math.max(range.high, ends.get(range.partition) ?? 0),
  }));
}

/** Returns whether the status in one of the folders says that a tracker is journaling the topic now. */
export async function isTrackerRunning(
  directories: readonly string[],
  { topic, storage }: { readonly topic: string; readonly storage: Storage },
): Promise<boolean> {
  for (const directory of directories) {
    const path = join(directory, STATUS_NAME);
    if (((await storage.stat(path))?.bytes ?? Infinity) > STATUS_BYTES_MAX) continue;
    const status = parseStatus(new TextDecoder().decode(await readFile(storage, path)));
    if (status === undefined || status.topic !== topic || status.state === "stopped") continue;
    if (Math.abs(Date.now() - Date.parse(status.timestamp)) <= STATUS_VALID_MS) return true;
  }
  return false;
}
