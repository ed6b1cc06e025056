/**
 * The manifest of a closed segment, `tracker.manifest.000001.json`. It describes the segment at closing time, so
 * that the segment can later be proven unchanged, even after its records have expired from the topic.
 *
 *     {"version":1,"sha256":"<of the body's text>","body":{
 *       "segment": {"name":"tracker.events.000001","bytes","lines","sha256",
 *                   "fingerprint":{"headSha256","tailSha256"}},
 *       "partitions": [{"topic","topic_id","partition","records","first_offset","last_offset",
 *                       "held":[[0,1000]]}],
 *       "leader_epochs": [{"topic","topic_id","partition","starts":[[7,0],[9,640]],
 *                          "superseded":[[640,900]]}],               absent if no epoch is known
 *       "record_times": {"min":1795417200000,"max":1795417263000},        absent if unknown
 *       "created": "<RFC 3339>", "journal": "<UUID>",
 *       "chain": 7, "previous": {"segment":"tracker.events.000006","sha256"}}}       null for the first
 *
 * `leader_epochs` gives the leader epochs of the held offsets (those from 640 on were appended in epoch 9), and the
 * offsets of earlier segments that are no longer held because the log was truncated.
 *
 * `record_times` is the range of all record timestamps; versions before 0.4.0 do not write it.
 *
 * `segment.sha256` equals `sha256sum` of the segment, and `previous.sha256` equals that of the previous manifest.
 * Changing a segment or a manifest unnoticed requires rewriting all later manifests. Manifests are numbered in the
 * order in which they were made (`chain`), which may differ from the order of the segments.
 *
 * A manifest is never changed. When its segment is removed for its age, it is renamed to
 * `tracker.removed.000001.json`. That keeps the chain complete, and the segment's offsets held.
 */

import {
  type AccountData,
  offsetsIn,
  type PartitionEpochs,
  type PartitionShare,
  type RecordTimes,
} from "./account.ts";
import type { HeldOffsets } from "./held_offsets.ts";
import { decodeSealed, encodeSealed } from "./sealed_text.ts";
import {
  type ClosedSegment,
  fingerprint,
  SegmentEdges,
  type SegmentFingerprint,
  type SegmentList,
  sha256,
} from "./segments.ts";
import { readFile, replaceFile, type Storage } from "./storage.ts";

const VERSION = 1;
const DECODER = new TextDecoder("utf-8", { fatal: true });

export interface ManifestBody {
  readonly segment: {
    readonly name: string;
    readonly bytes: number;
    readonly lines: number;
    readonly sha256: string;
    readonly fingerprint: SegmentFingerprint;
  };
  readonly partitions: readonly PartitionShare[];
  readonly leader_epochs?: readonly PartitionEpochs[];
  readonly record_times?: RecordTimes;
  readonly created: string;
  readonly journal: string;
  readonly chain: number;
  readonly previous: { readonly segment: string; readonly sha256: string } | null;
}

export interface Manifest extends ManifestBody {
  /** SHA-256 of the manifest's own file. */
  readonly sha256: string;
}

export async function writeManifest(
  storage: Storage,
  path: string,
  body: ManifestBody,
): Promise<Manifest> {
  const text = encodeSealed(body, { version: VERSION });
  await replaceFile(storage, path, text);
  return { ...body, sha256: sha256(text) };
}

/** @throws {SyntaxError} if the file is gone or is not a whole manifest; the message says why. */
export async function readManifest(storage: Storage, path: string): Promise<Manifest> {
  const bytes = await readFile(storage, path);
  if (bytes === undefined) throw new SyntaxError("the file is missing");
  try {
    const body = decodeSealed(DECODER.decode(bytes), { version: VERSION, what: "manifest" });
    return { ...body as ManifestBody, sha256: sha256(bytes) };
  } catch (error) {
    if (error instanceof TypeError) {
      throw new SyntaxError("it is not valid UTF-8", { cause: error });
    }
    throw error;
  }
}

/** Like {@link readManifest}, but returns undefined if there is no manifest or it is damaged. */
export async function readManifestOf(
  storage: Storage,
  { manifests, removed }: Pick<SegmentList, "manifests" | "removed">,
  number: number,
): Promise<Manifest | undefined> {
  const path = manifests.get(number) ?? removed.get(number);
  if (path === undefined) return undefined;
  try {
    return await readManifest(storage, path);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Returns a segment's manifest if the segment has the size, the first line, and the end that it states. */
export async function readManifestFitting(
  storage: Storage,
  list: SegmentList,
  { number, path, bytes }: ClosedSegment,
): Promise<Manifest | undefined> {
  const manifest = await readManifestOf(storage, list, number);
  if (manifest?.segment.bytes !== bytes) return undefined;
  const file = await storage.open(path, "read");
  try {
    const { headSha256, tailSha256 } = fingerprint(await SegmentEdges.read(file, bytes));
    const expected = manifest.segment.fingerprint;
    const fits = headSha256 === expected.headSha256 && tailSha256 === expected.tailSha256;
    return fits ? manifest : undefined;
  } finally {
    file.close();
  }
}

/**
 * Applies a segment's account to the offsets held before it was written. A manifest rebuilt from the lines alone
 * lacks what they superseded in other segments; this is derived from the epochs, as for a single line.
 */
export function addHeld(
  held: HeldOffsets,
  account: Pick<AccountData, "partitions" | "leader_epochs">,
): void {
  for (const { partition, held: added, superseded } of offsetsIn(account)) {
    const before = held.partition(partition);
    before.remove(superseded);
    for (const run of added.runs) before.add(run, [run]);
  }
}
