/**
 * Decides what to trust when a journal is opened, however the last run ended.
 *
 * 1. A readable line is not necessarily on disk, so what was written after the checkpoint is flushed before it
 * counts. It is rewritten for that: if the last run died after a failed fdatasync, the system considers those bytes
 * written, and a flush alone would do nothing.
 * 2. A checkpoint is trusted if its checksum is right, every closed segment that it covers exists, and the segment
 * it points into has the same beginning, and the same bytes before its position, as it had then.
 * 3. With a trusted checkpoint, only what lies past its position is read. Each line there is parsed completely. The
 * active file is cut at the first torn line (a power loss can tear more than the last: blocks that never reached
 * the disk read as zeros, and nothing after them was ever acknowledged), or else after its last record. A whole
 * foreign line with records after it stays: they were acknowledged, and cutting would lose them.
 * 4. Without one, every line is read, except those of closed segments that fit their manifests. It is unknown then
 * what was flushed, so only torn lines after the last record are cut.
 * 5. Closed segments are never touched. What is cut is saved first, in `tracker.cut.<time>`.
 * 6. The offsets of segments removed for their age stay held, from their manifests.
 */

import { join } from "node:path";
import type { SegmentAccount } from "./account.ts";
import { readCheckpoint } from "./checkpoint.ts";
import { recoverClosed, type RecoveredSegment, type RecoveryOptions } from "./closed_recovery.ts";
import { HeldOffsets } from "./held_offsets.ts";
import { scanLines } from "./line_scan.ts";
import { accountBefore, numberOfActive, positionIn, whereToStart } from "./recovery_start.ts";
import { activePath, listSegments, SegmentEdges } from "./segments.ts";
import { readRange, type Storage, type StoredFile, writeAll } from "./storage.ts";
import { Survey, type SurveyOptions } from "./survey.ts";

const COPY_BYTES = 1024 * 1024;
/** More than can lie past the last checkpoint. */
const REWRITTEN_BYTES_MAX = 128 * 1024 * 1024;

export interface RecoveredJournal {
  readonly id: string;
  readonly held: HeldOffsets;
  /** Sorted by number. */
  readonly closed: readonly RecoveredSegment[];
  readonly active: {
    readonly number: number;
    readonly bytes: number;
    readonly edges: SegmentEdges;
    /** The active segment's account; undefined if it would have to be counted. */
    readonly account: SegmentAccount | undefined;
  };
  /** True if the id differs from that of earlier commits. */
  readonly newId: boolean;
}

/** Reads the journal of a folder, repairs its end, and leaves a flushed active file, ready for appends. */
export async function recover(options: RecoveryOptions): Promise<RecoveredJournal> {
  const startedMs = performance.now();
  const { storage, directory, onNotice } = options;
  await storage.syncDirectory(directory);
  const list = await listSegments(storage, directory);
  const read = await readCheckpoint(storage, directory);
  const start = await whereToStart(storage, list, read);
  const held = start.kind === "checkpoint" ? start.checkpoint.held : new HeldOffsets();

  const closed = await recoverClosed(options, { start, list, held });
  const activeNumber = numberOfActive(start, list);
  const position = positionIn(start, activeNumber) ?? 0;
  const active = await recoverActive(options, {
    position,
    trusted: start.kind === "checkpoint",
    held,
    account: accountBefore(start, { segment: activeNumber, position }),
  });

  const isNew = read.kind === "missing" && list.nextNumber === 1 && !list.active?.bytes;
  const id = start.journalId ?? crypto.randomUUID();
  if (isNew) {
    onNotice({ kind: "created", directory, journalId: id });
  } else if (start.kind === "rebuild") {
    onNotice({
      kind: "rebuilt",
      directory,
      reason: start.reason,
      journalId: id,
      newId: start.journalId === undefined,
      segmentCount: closed.segments.length + 1,
      manifestCount: closed.manifestCount,
      lineCount: closed.lineCount + active.lineCount,
      bytes: closed.readBytes + active.readBytes,
      durationMs: performance.now() - startedMs,
    });
  }
  return {
    id,
    held,
    closed: closed.segments,
    active: {
      number: activeNumber,
      bytes: active.bytes,
      edges: active.edges,
      account: active.account,
    },
    newId: start.journalId === undefined,
  };
}

interface RecoveredActive {
  readonly bytes: number;
  readonly edges: SegmentEdges;
  readonly account: SegmentAccount | undefined;
  readonly lineCount: number;
  readonly readBytes: number;
}

/** Reads the active file from a position on, and cuts what a crash left at its end. */
async function recoverActive(
  { storage, directory, onNotice }: RecoveryOptions,
  options: SurveyOptions,
): Promise<RecoveredActive> {
  const { position } = options;
  const path = activePath(directory);
  const facts = await storage.stat(path);
  if (facts === undefined) (await storage.open(path, "create")).close();
  const file = await storage.open(path, "rewrite");
  try {
    const survey = new Survey(options);
    await scanLines(file, position, survey.visit);
    const cutAt = survey.cutAt();
    if (cutAt !== undefined) {
      const savedAs = await saveRest(storage, directory, { file, from: cutAt });
      await file.truncate(cutAt);
      const bytes = survey.end - cutAt;
      onNotice({ kind: "cut", path, position: cutAt, bytes, savedAs });
    }
    survey.report(path, onNotice);
    const bytes = cutAt ?? survey.end;
    await rewrite(file, { start: Math.max(position, bytes - REWRITTEN_BYTES_MAX), end: bytes });
    await file.syncData();
    await storage.syncDirectory(directory);
    return {
      bytes,
      edges: await SegmentEdges.read(file, bytes),
      account: survey.account,
      lineCount: survey.lineCount,
      readBytes: survey.end - position,
    };
  } finally {
    file.close();
  }
}

/** Writes the same bytes in place, so that the next flush includes them. */
async function rewrite(
  file: StoredFile,
  { start, end }: { readonly start: number; readonly end: number },
): Promise<void> {
  for (let at = start; at < end; at += COPY_BYTES) {
    const bytes = await readRange(file, { start: at, end: Math.min(at + COPY_BYTES, end) });
    await file.seek(at);
    await writeAll(file, bytes);
  }
}

/** Copies a file from a position on to a new file in the same folder, flushed to disk. Returns its path. */
async function saveRest(
  storage: Storage,
  directory: string,
  { file, from }: { readonly file: StoredFile; readonly from: number },
): Promise<string> {
  const time = new Date().toISOString().replaceAll(/[-:]/g, "");
  const path = join(directory, `tracker.cut.${time}.${crypto.randomUUID().slice(0, 8)}`);
  const copy = await storage.open(path, "create");
  try {
    const buffer = new Uint8Array(COPY_BYTES);
    await file.seek(from);
    for (let count = await file.read(buffer); count !== null; count = await file.read(buffer)) {
      await writeAll(copy, buffer.subarray(0, count));
    }
    await copy.syncData();
  } finally {
    copy.close();
  }
  await storage.syncDirectory(directory);
  return path;
}
