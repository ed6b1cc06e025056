/**
 * Decides where to start reading a journal's files when it is opened: after the checkpoint, if it can be trusted.
 */

import { SegmentAccount } from "./account.ts";
import type { Checkpoint, CheckpointRead } from "./checkpoint.ts";
import { readManifestOf } from "./manifest.ts";
import { SegmentEdges, type SegmentList, sha256 } from "./segments.ts";
import type { Storage } from "./storage.ts";

export function bytesOfCovered(start: Start, number: number): number | undefined {
  if (start.kind === "rebuild") return undefined;
  return start.checkpoint.closed.find((closed) => closed.number === number)?.bytes;
}

/** Returns the account of a segment's lines before the position where reading starts. */
export function accountBefore(
  start: Start,
  { segment, position }: { readonly segment: number; readonly position: number },
): SegmentAccount | undefined {
  if (start.kind === "checkpoint" && start.checkpoint.segment === segment) {
    // Also if no lines exist yet: offsets may be held without a line.
    const { active } = start.checkpoint;
    if (active !== undefined) return SegmentAccount.from(active);
  }
  return position === 0 ? new SegmentAccount() : undefined;
}

export type Start =
  | { readonly kind: "checkpoint"; readonly checkpoint: Checkpoint; readonly journalId: string }
  /** The id is kept if the checkpoint is this journal's own, even if it covers more than the journal holds. */
  | { readonly kind: "rebuild"; readonly reason: string; readonly journalId: string | undefined };

/** The active file is still the checkpoint's segment, unless that was closed since. */
export function numberOfActive(start: Start, list: SegmentList): number {
  if (start.kind === "rebuild") return list.nextNumber;
  const { segment } = start.checkpoint;
  return wasClosedSince(list, segment) ? list.nextNumber : segment;
}

function wasClosedSince({ closed, archived, removed }: SegmentList, segment: number): boolean {
  const numbers = [...closed.map(({ number }) => number), ...archived.keys(), ...removed.keys()];
  return numbers.some((number) => number >= segment);
}

/** Returns where to start reading a segment; undefined if the checkpoint covers all of it. */
export function positionIn(start: Start, segment: number): number | undefined {
  if (start.kind === "rebuild") return 0;
  const { checkpoint } = start;
  if (segment < checkpoint.segment) return undefined;
  return segment === checkpoint.segment ? checkpoint.position : 0;
}

export async function whereToStart(
  storage: Storage,
  list: SegmentList,
  read: CheckpointRead,
): Promise<Start> {
  if (read.kind === "missing") {
    return { kind: "rebuild", reason: "there is no checkpoint", journalId: undefined };
  }
  if (read.kind === "damaged") {
    return {
      kind: "rebuild",
      reason: `the checkpoint is damaged: ${read.reason}`,
      journalId: undefined,
    };
  }
  const { checkpoint } = read;
  const judged = await judgeSegment(storage, list, checkpoint);
  const doubt = judged.doubt ?? doubtOfClosed(list, checkpoint);
  return doubt === undefined
    ? { kind: "checkpoint", checkpoint, journalId: checkpoint.journalId }
    : {
      kind: "rebuild",
      reason: doubt,
      journalId: judged.isOwn ? checkpoint.journalId : undefined,
    };
}

/** Returns why the closed segments are not those that the checkpoint covers; undefined if they are. */
function doubtOfClosed(list: SegmentList, checkpoint: Checkpoint): string | undefined {
  const bytesByNumber = new Map(list.closed.map(({ number, bytes }) => [number, bytes]));
  for (const { number, bytes } of checkpoint.closed) {
    const there = bytesByNumber.get(number);
    if (there === undefined && (list.archived.has(number) || list.removed.has(number))) continue;
    if (there === undefined) return `segment ${number}, which the checkpoint covers, is missing`;
    if (there !== bytes) {
      return `segment ${number} has ${there} bytes, but had ${bytes} at the checkpoint`;
    }
  }
  return undefined;
}

interface Judged {
  readonly doubt?: string;
  /** True if the segment begins as the checkpoint's did, so the checkpoint is this journal's. */
  readonly isOwn: boolean;
}

/** Checks that the segment the checkpoint points into exists and is the same. */
async function judgeSegment(
  storage: Storage,
  list: SegmentList,
  { segment: number, position, fingerprint }: Checkpoint,
): Promise<Judged> {
  const isActive = !wasClosedSince(list, number);
  const segment = isActive ? list.active : list.closed.find((one) => one.number === number);
  if (segment === undefined) {
    // Compressed or removed since: its manifest says what it held, including the part past the position.
    const manifest = isActive ? undefined : await readManifestOf(storage, list, number);
    const isSame = manifest !== undefined && manifest.segment.bytes >= position &&
      (position === 0 || manifest.segment.fingerprint.headSha256 === fingerprint.headSha256);
    if (isSame) return { isOwn: true };
  }
  if (segment === undefined) {
    return position === 0
      ? { isOwn: true }
      : { doubt: "the segment that the checkpoint points into is missing", isOwn: false };
  }
  const file = await storage.open(segment.path, "read");
  try {
    const edges = await SegmentEdges.read(file, Math.min(position, segment.bytes));
    const isOwn = sha256(edges.head) === fingerprint.headSha256;
    if (!isOwn) {
      return { doubt: "the checkpoint is that of another journal", isOwn };
    }
    if (segment.bytes < position) {
      return {
        doubt: `the checkpoint covers ${position} bytes, and the journal has ${segment.bytes}`,
        isOwn,
      };
    }
    if (sha256(edges.tail) !== fingerprint.tailSha256) {
      return { doubt: "the journal was changed before the checkpoint's position", isOwn };
    }
    return { isOwn };
  } finally {
    file.close();
  }
}
