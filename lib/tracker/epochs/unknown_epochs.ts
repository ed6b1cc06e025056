/**
 * Finds the leader epochs of records that earlier versions journaled without them. Their journals may also hold records
 * that a truncated log has replaced since.
 *
 *     the log, by its leader     0 ---- epoch 0 ---- 500 ------------ epoch 2 ------------ 1200
 *     journaled                  0 ----- as there -- 500 - others - 1000 ---- as there --- 1200
 *
 * Logs are truncated at the start of an epoch. So the first held record of each epoch is compared with the topic's. The
 * log was truncated at the lowest epoch in which they differ, and everything from there is read again.
 */

import type { EpochRun } from "../../kafka/protocol/record_batch.ts";
import type { KafkaRecord } from "../../record.ts";
import type { PartitionLogs } from "../../kafka/partition_logs.ts";
import type { JournaledRecord } from "../../journal/line.ts";
import type { JournalPartition } from "../../journal/intervals.ts";
import type { Journal } from "../../journal/journal.ts";
import { RecordDigest } from "../../journal/record_digest.ts";
import { findLines } from "./held_lines.ts";

export interface UnknownEpochsOptions {
  readonly journal: Journal;
  readonly logs: Pick<PartitionLogs, "epochEnd" | "range" | "recordAt">;
}

export interface FoundEpochs {
  readonly place: JournalPartition;
  /** First offset at which the log has another record than the journal, or none; undefined if it has all. */
  readonly truncatedAt: number | undefined;
  readonly leaderEpoch: number;
}

const EPOCHS_MAX = 1_000;

/**
 * Finds the epochs of all partitions in one pass, because it reads the whole journal. Changes the journal's epochs, not
 * its offsets.
 */
export async function establishEpochs(
  places: readonly JournalPartition[],
  { journal, logs }: UnknownEpochsOptions,
): Promise<readonly FoundEpochs[]> {
  const epochs = await Promise.all(places.map((place) => epochsOf(place, logs)));
  const compared = epochs.flatMap(({ place, runs }) => {
    const end = journal.end(place) ?? 0;
    return runs.filter(({ start }) => start < end).map((run) => ({ ...place, ...run }));
  });
  const lines = await findLines(journal.directory, compared);
  const differing = new Map<JournalPartition, number>();
  const known: { place: JournalPartition; epoch: number; start: number }[] = [];
  for (const [index, { start, epoch, ...run }] of compared.entries()) {
    const place = places.find(({ partition }) => partition === run.partition);
    if (place === undefined || differing.has(place)) continue; // the lowest one is known
    const { isSame, leaderEpoch = epoch } = await compare(lines[index] ?? [], logs);
    if (!isSame) differing.set(place, start);
    else if (leaderEpoch !== undefined) known.push({ place, epoch: leaderEpoch, start });
  }
  for (const { place, ...epoch } of known.toReversed()) journal.establishEpoch(place, epoch);
  return epochs.map(({ place, runs, leaderEpoch }) => {
    const logEnd = runs.at(-1)?.end ?? 0;
    const isShorter = (journal.end(place) ?? 0) > logEnd;
    const truncatedAt = differing.get(place) ?? (isShorter ? logEnd : undefined);
    return { place, truncatedAt, leaderEpoch };
  });
}

interface LogEpochs {
  readonly place: JournalPartition;
  readonly runs: readonly EpochRun[];
  readonly leaderEpoch: number;
}

/** Asks the leader for each epoch, from its own one down. */
async function epochsOf(
  place: JournalPartition,
  logs: UnknownEpochsOptions["logs"],
): Promise<LogEpochs> {
  const { low, high } = await logs.range(place.topic, place.partition);
  const endOf = async (epoch: number) => await logs.epochEnd({ ...place, epoch });
  const { leaderEpoch, end: lowest } = await endOf(0);
  // Up to this offset the log has at most one epoch.
  const lowestEnd = Math.max(low, lowest?.endOffset ?? low);
  let end = Math.max(high, (await endOf(leaderEpoch)).end?.endOffset ?? 0);
  let epoch = leaderEpoch;
  const runs: EpochRun[] = [];
  while (end > lowestEnd && epoch > 0 && runs.length < EPOCHS_MAX) {
    const before = (await endOf(epoch - 1)).end;
    const start = Math.max(lowestEnd, before?.endOffset ?? 0);
    if (start < end) runs.unshift({ epoch, start, end });
    end = start;
    epoch = before?.epoch ?? 0;
  }
  if (end > low) runs.unshift({ epoch: undefined, start: low, end });
  return { place, runs, leaderEpoch };
}

/** Compares the first line whose offset the topic has. If it has none, they count as equal. */
async function compare(
  lines: readonly JournaledRecord[],
  logs: UnknownEpochsOptions["logs"],
): Promise<{ readonly isSame: boolean; readonly leaderEpoch?: number | undefined }> {
  for (const line of lines) {
    const record = await logs.recordAt(line);
    if (record === undefined) continue;
    return { isSame: areSame(line, record), leaderEpoch: record.leaderEpoch };
  }
  return { isSame: true };
}

function areSame({ offset, value, details }: JournaledRecord, record: KafkaRecord): boolean {
  const digests = [{ value, details }, { value: record.value, details: record }].map((each) => {
    const digest = new RecordDigest();
    digest.addValue(offset, each.value);
    // Lines without details are of a tracker version that only kept the value.
    if (details !== undefined && each.details !== undefined) {
      // Early versions grouped headers by name, so their order may differ.
      const headers = each.details.headers.toSorted((a, b) =>
        a.key < b.key ? -1 : a.key > b.key ? 1 : 0
      );
      digest.addDetails(offset, { ...each.details, headers });
    }
    return digest.take();
  });
  return digests[0] === digests[1];
}
