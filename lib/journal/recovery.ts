/**
 * What is trusted when a journal is opened, whatever ended the last run.
 *
 * 1. A line that can be read is not yet a line on the disk, so what was written after the checkpoint is
 *    flushed before it counts. It is written again for that: if the last run died after a failed
 *    fdatasync, the system takes those bytes for written, and a flush alone would do nothing.
 * 2. A checkpoint is trusted where its checksum is right, every closed segment that it covers is
 *    there, and the segment it points into begins, and ends at its position, as it did then.
 * 3. Trusted: only what lies past its position is read. Each line there is parsed whole. The active
 *    file is cut at the first torn line (power loss tears more than the last: blocks that never
 *    reached the disk read as zeros, and nothing after them was ever acknowledged); failing that,
 *    after its last record. A whole foreign line with records after it stays: they were acknowledged,
 *    and cutting them would lose them.
 * 4. Not trusted: every line is read, but for closed segments that fit their manifests, which say what is held.
 *    There is no telling then what was flushed, so only what is torn after the last record is cut.
 * 5. Closed segments are never touched, and what is cut is saved first, in `tracker.cut.<time>`.
 * 6. What a segment held that was removed for its age is held on, by its manifest.
 *
 * @module
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
/** What can lie past the last checkpoint is less. */
const REWRITTEN_BYTES_MAX = 128 * 1024 * 1024;

export interface RecoveredJournal {
  readonly id: string;
  readonly held: HeldOffsets;
  /** By number. */
  readonly closed: readonly RecoveredSegment[];
  readonly active: {
    /** The number it will have when it is closed. */
    readonly number: number;
    readonly bytes: number;
    readonly edges: SegmentEdges;
    /** What it has in it; undefined where that would have to be counted. */
    readonly account: SegmentAccount | undefined;
  };
  /** Whether the id is another one than that of the commits made before. */
  readonly newId: boolean;
}

/** Reads the journal of a folder, repairs its end, and leaves an active file there, durable, to append to. */
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

/** Writes the same bytes in their own place, so that the next flush flushes them. */
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

/** Copies a file from a position on to a new file beside it, durably; returns its path. */
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
