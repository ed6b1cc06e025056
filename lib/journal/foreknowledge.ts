/**
 * Reads the manifests of a journal's closed segments, so that a search opens only segments that can hold a match.
 */

import type { RecordTimes } from "./account.ts";
import { type Manifest, readManifestOf } from "./manifest.ts";
import type { Foreknown, SegmentName } from "./segment_listing.ts";
import { closedName, closedPath, listSegments, type SegmentList } from "./segments.ts";
import type { Storage } from "./storage.ts";

/** Records to look for. A record must match every criterion; undefined matches any. */
export interface RecordRange {
  readonly topic?: string | undefined;
  readonly partition?: number | undefined;
  /** First and last offset, both included. */
  readonly offsets?: { readonly from: number; readonly to: number } | undefined;
  /** Timestamps in milliseconds since the epoch, both ends included. */
  readonly times?: RecordTimes | undefined;
}

export interface Foreknowledge {
  readonly of: (segment: SegmentName) => Foreknown;
  /** Paths of segments that have a manifest but are neither present nor removed for their age. */
  readonly missing: readonly string[];
}

const NOT_KNOWN: Foreknown = { isWanted: true };

/** Reads the manifests of a journal (0.2 ms each). Damaged ones are skipped. */
export async function readForeknowledge(
  storage: Storage,
  directory: string,
  range: RecordRange,
): Promise<Foreknowledge> {
  const list = await listSegments(storage, directory);
  const sizes = new Map(list.closed.map(({ number, bytes }) => [number, bytes]));
  const known = new Map<number, Foreknown>();
  const absent: number[] = [];
  for (const number of list.manifests.keys()) {
    if (!isThere(list, number)) absent.push(number);
    const manifest = await readManifestOf(storage, list, number);
    if (manifest?.segment.name !== closedName(number)) continue;
    const { bytes } = manifest.segment;
    // A segment that was modified is always read, whatever its manifest says.
    const isWanted = (sizes.get(number) ?? bytes) !== bytes || canHold(manifest, range);
    known.set(number, { isWanted, bytes });
  }
  // A tracker may have compressed or removed them during the listing.
  const again = absent.length === 0 ? list : await listSegments(storage, directory);
  const missing = absent.filter((number) => again.manifests.has(number) && !isThere(again, number));
  return {
    of: ({ number }) => known.get(number) ?? NOT_KNOWN,
    missing: missing.map((number) => closedPath(directory, number)),
  };
}

function isThere({ closed, archived }: SegmentList, number: number): boolean {
  return archived.has(number) || closed.some((segment) => segment.number === number);
}

function canHold(
  { partitions, record_times }: Manifest,
  { topic, partition, offsets, times }: RecordRange,
): boolean {
  const isInTime = times === undefined || record_times === undefined ||
    (record_times.min <= times.max && record_times.max >= times.min);
  return isInTime && partitions.some((share) =>
    (topic === undefined || share.topic === topic) &&
    (partition === undefined || share.partition === partition) &&
    (offsets === undefined ||
      (share.first_offset ?? Infinity) <= offsets.to && (share.last_offset ?? -1) >= offsets.from)
  );
}
