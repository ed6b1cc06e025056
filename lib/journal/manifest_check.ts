/**
 * Are the closed segments of a journal what they were when they were closed? Reads manifests and segments,
 * compressed ones too, and nothing else: the topic may have forgotten its records long ago.
 *
 * What it proves, and what not: whoever changes a segment has to write its manifest anew, and then all that
 * were made after it; `head`, noted elsewhere in time (the tracker logs it), shows that. Manifests that are
 * taken away from the chain's end are not missed, and neither is their segments' proof.
 *
 * @module
 */

import { type AccountData, offsetsIn } from "./account.ts";
import { ArchiveDamagedError, ArchiveReader } from "./archive.ts";
import { addHeld, type Manifest, readManifest } from "./manifest.ts";
import { HeldOffsets } from "./held_offsets.ts";
import { classify, quickClassify } from "./line_scan.ts";
import { scanSegment } from "./segment_scan.ts";
import {
  archivePath,
  closedName,
  closedPath,
  listSegments,
  numbersIn,
  removedPath,
  type SegmentList,
} from "./segments.ts";
import { denoStorage, type ReadableFile, type Storage } from "./storage.ts";

/** What a closed segment is, against its manifest. */
export interface SegmentCheck {
  /** As it was closed, such as `tracker.events.000001`. */
  readonly name: string;
  /** `unsealed`: closed, and its manifest is not made yet. */
  readonly state: "plain" | "compressed" | "removed" | "missing" | "unsealed";
  /** Whether it is what it was when it was closed. */
  readonly ok: boolean;
  /** Why it is not ok, or what is not proven. */
  readonly reason?: string;
}

export interface ManifestsChecked {
  /** Every segment and every manifest of a segment, by number. */
  readonly segments: readonly SegmentCheck[];
  /** Segment and hash of the last manifest in the chain: all that comes before can be proven from it. */
  readonly head: { readonly segment: string; readonly sha256: string } | undefined;
  /** What the removed segments held, as far as no manifest says that it was superseded. */
  readonly removed: HeldOffsets;
}

export interface CheckOptions {
  readonly storage?: Storage;
  /** Ends the check with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Told before each segment is read. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

/**
 * Checks the chain of a journal's manifests, and each segment against its own: 1.3 s a GB, 2.5 s where it is compressed, in a few MB. A tracker
 * may be at work meanwhile.
 */
export async function checkManifests(
  directory: string,
  { storage = denoStorage, signal, onProgress = () => {} }: CheckOptions = {},
): Promise<ManifestsChecked> {
  const { list, manifests } = await readManifests(storage, directory);
  const chain = checkChain(manifests.read);
  const lastSealed = Math.max(0, ...list.manifests.keys(), ...list.removed.keys());
  const numbers = numbersIn(list);
  const segments: SegmentCheck[] = [];
  for (const [index, number] of numbers.entries()) {
    signal?.throwIfAborted();
    onProgress({ done: index, total: numbers.length });
    const manifest = manifests.read.get(number);
    const broken = manifests.damaged.get(number) ?? chain.broken.get(number);
    const name = closedName(number);
    const check = manifest === undefined
      ? checkUnsealed(list, { number, lastSealed })
      : await checkSegment({ storage, directory, number, manifest, signal });
    const reasons = [broken, check.reason].filter((reason) => reason !== undefined);
    segments.push({
      name,
      state: check.state,
      ok: check.ok && broken === undefined,
      ...(reasons.length > 0 && { reason: reasons.join("; ") }),
    });
  }
  return { segments, head: chain.head, removed: heldByRemoved(numbers, { list, manifests }) };
}

/** In the order in which they were written, for what a segment holds can be superseded by later ones. */
function heldByRemoved(
  numbers: readonly number[],
  { list, manifests }: Awaited<ReturnType<typeof readManifests>>,
): HeldOffsets {
  const removed = new HeldOffsets();
  for (const number of numbers) {
    const manifest = manifests.read.get(number);
    if (manifest === undefined) continue;
    addHeld(removed, manifest);
    if (list.removed.has(number)) continue;
    for (const { partition, held } of offsetsIn(manifest)) {
      removed.partition(partition).remove(held.offsets.intervals);
    }
  }
  return removed;
}

type Manifests = ReadonlyMap<number, Manifest>;
type Reasons = ReadonlyMap<number, string>;

async function readManifests(
  storage: Storage,
  directory: string,
): Promise<
  { readonly list: SegmentList; readonly manifests: { read: Manifests; damaged: Reasons } }
> {
  const list = await listSegments(storage, directory);
  const read = new Map<number, Manifest>();
  const damaged = new Map<number, string>();
  for (const [number, path] of [...list.manifests, ...list.removed]) {
    try {
      const manifest = await readManifest(storage, path);
      if (manifest.segment.name === closedName(number)) read.set(number, manifest);
      else damaged.set(number, `its manifest is that of ${manifest.segment.name}`);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      // A manifest gets another name when its segment is removed: look again.
      if (await storage.stat(path) === undefined) return await readManifests(storage, directory);
      damaged.set(number, `its manifest is damaged: ${error.message}`);
    }
  }
  return { list, manifests: { read, damaged } };
}

/** Each manifest names the hash of the one made before it, from the first on. */
function checkChain(
  manifests: Manifests,
): { readonly broken: Reasons; readonly head: ManifestsChecked["head"] } {
  const broken = new Map<number, string>();
  const byChain = [...manifests].sort(([, a], [, b]) => a.chain - b.chain);
  let before: Manifest | undefined;
  for (const [number, manifest] of byChain) {
    const reason = reasonBroken(manifest, before);
    if (reason !== undefined) broken.set(number, `the chain of manifests is broken: ${reason}`);
    before = manifest;
  }
  return { broken, head: before && { segment: before.segment.name, sha256: before.sha256 } };
}

function reasonBroken(
  { chain, previous }: Manifest,
  before: Manifest | undefined,
): string | undefined {
  const expected = (before?.chain ?? 0) + 1;
  if (chain !== expected) {
    return chain < expected
      ? `two manifests are number ${chain} of it`
      : `its manifest is number ${chain} of it, and number ${chain - 1} is missing`;
  }
  if (before === undefined) return previous === null ? undefined : "its beginning is missing";
  if (previous?.sha256 === before.sha256) return undefined;
  return `the manifest of ${before.segment.name} was changed after this one was made`;
}

type Check = Omit<SegmentCheck, "name">;

/** A segment with no manifest, or with one that cannot be read. */
function checkUnsealed(
  { closed, archived, manifests, removed }: SegmentList,
  { number, lastSealed }: { readonly number: number; readonly lastSealed: number },
): Check {
  if (removed.has(number)) return { state: "removed", ok: false };
  const isPlain = closed.some((segment) => segment.number === number);
  if (manifests.has(number)) {
    const state = isPlain ? "plain" : archived.has(number) ? "compressed" : "missing";
    return { state, ok: false };
  }
  // A tracker makes manifests in order, and may just be at it.
  const isAwaited = isPlain && number > lastSealed;
  return {
    state: isPlain ? "unsealed" : "compressed",
    ok: isAwaited,
    reason: isAwaited
      ? "it has no manifest yet: the tracker makes it when it runs"
      : "its manifest is missing",
  };
}

async function checkSegment(
  { storage, directory, number, manifest, signal }: {
    readonly storage: Storage;
    readonly directory: string;
    readonly number: number;
    readonly manifest: Manifest;
    readonly signal: AbortSignal | undefined;
  },
): Promise<Check> {
  // Looked up now, by name, since a listing takes long where there are thousands of segments: a tracker at work may just
  // have compressed or removed it. Each step leaves the next file before it takes this one away.
  const isRemoved = async () => await storage.stat(removedPath(directory, number)) !== undefined;
  if (await isRemoved()) return { state: "removed", ok: true };
  const paths = {
    plain: closedPath(directory, number),
    compressed: archivePath(directory, number),
  };
  for (const state of ["plain", "compressed"] as const) {
    try {
      const file = await storage.open(paths[state], "read");
      const segment = state === "plain" ? file : await ArchiveReader.open(file);
      try {
        const reason = await differenceOf(segment, manifest, signal);
        return { state, ok: reason === undefined, ...(reason !== undefined && { reason }) };
      } finally {
        segment.close();
      }
    } catch (error) {
      if (error instanceof ArchiveDamagedError) {
        return { state, ok: false, reason: `the segment was changed: ${error.message}` };
      }
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return await isRemoved()
    ? { state: "removed", ok: true }
    : { state: "missing", ok: false, reason: "the segment is missing" };
}

/** What of a segment is not what its manifest says. */
async function differenceOf(
  file: ReadableFile,
  { segment: expected, partitions, record_times }: Manifest,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const options = signal === undefined ? {} : { signal };
  const found = await scanSegment(file, { classify: quickClassify, ...options });
  if (found.bytes !== expected.bytes) {
    return `the segment was changed: it has ${found.bytes} bytes, and had ${expected.bytes}`;
  }
  if (found.sha256 !== expected.sha256) {
    return `the segment was changed: its SHA-256 is ${found.sha256}, and was ${expected.sha256}`;
  }
  const claimed = {
    lines: expected.lines,
    partitions,
    ...(record_times !== undefined && { record_times }),
  };
  const reason = differenceOfAccounts(found.account.data(), claimed);
  if (reason === undefined) return undefined;
  // A line that was damaged before the segment was closed is a record at a glance only.
  const { account } = await scanSegment(file, { classify, ...options });
  return differenceOfAccounts(account.data(), claimed) && reason;
}

function differenceOfAccounts(found: AccountData, claimed: AccountData): string | undefined {
  if (found.lines !== claimed.lines) {
    return `its manifest is wrong: the segment has ${found.lines} lines, not ${claimed.lines}`;
  }
  const linesOf = ({ partitions }: AccountData) =>
    partitions.filter(({ records }) => records > 0).map(({ held: _, ...share }) =>
      JSON.stringify(share)
    );
  const [inSegment, inManifest] = [linesOf(found), linesOf(claimed)];
  const index = inSegment.findIndex((share, index) => share !== inManifest[index]);
  if (index !== -1 || inSegment.length !== inManifest.length) {
    return "its manifest is wrong: it does not say which offsets the segment has";
  }
  // An append can be split between two segments, whose ranges are then both wider than their lines'.
  const { record_times: inLines = claimed.record_times } = found;
  const covers = claimed.record_times === undefined || inLines === undefined ||
    (claimed.record_times.min <= inLines.min && claimed.record_times.max >= inLines.max);
  return covers ? undefined : "its manifest is wrong: records have timestamps outside its range";
}
