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
import { SegmentAccount } from "./account.ts";
import { ArchiveReader } from "./archive.ts";
import { type Checkpoint, type CheckpointRead, readCheckpoint } from "./checkpoint.ts";
import { HeldOffsets } from "./held_offsets.ts";
import { type LineVisitor, scanLines, type ScannedLine } from "./line_scan.ts";
import { addHeld, readManifestFitting, readManifestOf } from "./manifest.ts";
import type { NoticeListener } from "./notice.ts";
import {
  activePath,
  type ClosedSegment,
  listSegments,
  SegmentEdges,
  type SegmentList,
  sha256,
} from "./segments.ts";
import { readRange, type Storage, type StoredFile, writeAll } from "./storage.ts";

const COPY_BYTES = 1024 * 1024;
/** What can lie past the last checkpoint is less. */
const REWRITTEN_BYTES_MAX = 128 * 1024 * 1024;

export interface RecoveredJournal {
  readonly id: string;
  readonly held: HeldOffsets;
  /** Those that are there, compressed or not, by number. */
  readonly closed: readonly {
    readonly number: number;
    readonly bytes: number;
    /** What the segment has in it, where that is known. */
    readonly account?: SegmentAccount;
  }[];
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

export interface RecoveryOptions {
  readonly storage: Storage;
  readonly directory: string;
  readonly onNotice: NoticeListener;
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

interface RecoveredClosed {
  readonly segments: RecoveredJournal["closed"];
  readonly lineCount: number;
  readonly readBytes: number;
  readonly manifestCount: number;
}

/** Adds to `held` what the checkpoint does not cover of the closed segments. */
async function recoverClosed(
  options: RecoveryOptions,
  { start, list, held }: {
    readonly start: Start;
    readonly list: SegmentList;
    readonly held: HeldOffsets;
  },
): Promise<RecoveredClosed> {
  const { storage } = options;
  const segments: RecoveredJournal["closed"][number][] = [];
  let lineCount = 0;
  let readBytes = 0;
  let manifestCount = 0;
  for (const segment of list.closed) {
    const { number, bytes } = segment;
    const position = positionIn(start, number);
    const manifest = position !== undefined &&
      await readManifestFitting(storage, list, segment);
    if (position === undefined) segments.push({ number, bytes });
    else if (manifest) {
      addHeld(held, manifest);
      manifestCount++;
      segments.push({ number, bytes });
    } else {
      const before = accountBefore(start, { segment: number, position });
      const survey = await readClosed(options, segment, { position, held, account: before });
      lineCount += survey.lineCount;
      readBytes += bytes - position;
      const { account } = survey;
      segments.push({ number, bytes, ...(account !== undefined && { account }) });
    }
  }
  for (const [number, path] of list.archived) {
    if (list.removed.has(number)) continue;
    const isCovered = positionIn(start, number) === undefined;
    const covered = isCovered ? bytesOfCovered(start, number) : undefined;
    const manifest = covered === undefined && await readManifestOf(storage, list, number);
    if (covered !== undefined) segments.push({ number, bytes: covered });
    else if (manifest) {
      if (!isCovered) addHeld(held, manifest);
      manifestCount++;
      segments.push({ number, bytes: manifest.segment.bytes });
    } else {
      const survey = await readArchived(options, path, held);
      lineCount += survey.lineCount;
      readBytes += survey.end;
      segments.push({ number, bytes: survey.end });
    }
  }
  for (const number of list.removed.keys()) {
    if (positionIn(start, number) === undefined) continue;
    const manifest = await readManifestOf(storage, list, number);
    if (manifest === undefined) continue;
    addHeld(held, manifest);
    manifestCount++;
  }
  segments.sort((a, b) => a.number - b.number);
  return { segments, lineCount, readBytes, manifestCount };
}

function bytesOfCovered(start: Start, number: number): number | undefined {
  if (start.kind === "rebuild") return undefined;
  return start.checkpoint.closed.find((closed) => closed.number === number)?.bytes;
}

/** What a segment has before the position where the reading begins. */
function accountBefore(
  start: Start,
  { segment, position }: { readonly segment: number; readonly position: number },
): SegmentAccount | undefined {
  if (start.kind === "checkpoint" && start.checkpoint.segment === segment) {
    // Also where nothing was written yet: offsets may be held without a line.
    const { active } = start.checkpoint;
    if (active !== undefined) return SegmentAccount.from(active);
  }
  return position === 0 ? new SegmentAccount() : undefined;
}

type Start =
  | { readonly kind: "checkpoint"; readonly checkpoint: Checkpoint; readonly journalId: string }
  /** The id is kept where the checkpoint is this journal's own, though more than the journal holds. */
  | { readonly kind: "rebuild"; readonly reason: string; readonly journalId: string | undefined };

/** The active file still is the checkpoint's segment unless that one was closed since. */
function numberOfActive(start: Start, list: SegmentList): number {
  if (start.kind === "rebuild") return list.nextNumber;
  const { segment } = start.checkpoint;
  return wasClosedSince(list, segment) ? list.nextNumber : segment;
}

function wasClosedSince({ closed, archived, removed }: SegmentList, segment: number): boolean {
  const numbers = [...closed.map(({ number }) => number), ...archived.keys(), ...removed.keys()];
  return numbers.some((number) => number >= segment);
}

/** From where a segment has to be read; undefined where the checkpoint covers all of it. */
function positionIn(start: Start, segment: number): number | undefined {
  if (start.kind === "rebuild") return 0;
  const { checkpoint } = start;
  if (segment < checkpoint.segment) return undefined;
  return segment === checkpoint.segment ? checkpoint.position : 0;
}

async function whereToStart(
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

/** Why the closed segments are not those that the checkpoint covers; undefined where they are. */
function doubtOfClosed(list: SegmentList, checkpoint: Checkpoint): string | undefined {
  const bytesByNumber = new Map(list.closed.map(({ number, bytes }) => [number, bytes]));
  for (const { number, bytes } of checkpoint.closed) {
    const there = bytesByNumber.get(number);
    if (there === undefined && (list.archived.has(number) || list.removed.has(number))) continue;
    if (there === undefined) return `segment ${number}, which the checkpoint covers, is missing`;
    if (there !== bytes) {
      return `segment ${number} has ${there} bytes, and had ${bytes} at the checkpoint`;
    }
  }
  return undefined;
}

interface Judged {
  readonly doubt?: string;
  /** Whether the segment begins as the checkpoint's did: the checkpoint is this journal's. */
  readonly isOwn: boolean;
}

/** Whether the segment that the checkpoint points into is there, and is the one it was. */
async function judgeSegment(
  storage: Storage,
  list: SegmentList,
  { segment: number, position, fingerprint }: Checkpoint,
): Promise<Judged> {
  const isActive = !wasClosedSince(list, number);
  const segment = isActive ? list.active : list.closed.find((one) => one.number === number);
  if (segment === undefined) {
    // Compressed or removed since: its manifest says what it held, the part past the position included.
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

/** Reads a closed segment from a position on; adds its records to `held`. */
async function readClosed(
  { storage, onNotice }: RecoveryOptions,
  { path }: ClosedSegment,
  options: Omit<SurveyOptions, "trusted">,
): Promise<Survey> {
  const file = await storage.open(path, "read");
  try {
    await file.syncData();
    const survey = new Survey({ ...options, trusted: false });
    await scanLines(file, options.position, survey.visit);
    survey.report(path, onNotice);
    return survey;
  } finally {
    file.close();
  }
}

/** Reads a compressed segment that has no good manifest; adds its records to `held`. */
async function readArchived(
  { storage, onNotice }: RecoveryOptions,
  path: string,
  held: HeldOffsets,
): Promise<Survey> {
  const archive = await ArchiveReader.open(await storage.open(path, "read"));
  try {
    const survey = new Survey({ held, position: 0, account: undefined, trusted: false });
    await scanLines(archive, 0, survey.visit);
    survey.report(path, onNotice);
    return survey;
  } finally {
    archive.close();
  }
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

interface SurveyOptions {
  readonly held: HeldOffsets;
  /** Where the reading begins. */
  readonly position: number;
  /** Whether all before the position is known to have been flushed: rules 3 and 4 at the top. */
  readonly trusted: boolean;
  /** What lies before the position; undefined where that is not known. Added to. */
  readonly account: SegmentAccount | undefined;
}

/** What a scan finds of a segment, as it goes; the records go to `held`. */
class Survey {
  readonly #held: HeldOffsets;
  readonly #trusted: boolean;
  /** Complete after {@link report}. */
  readonly account: SegmentAccount | undefined;
  /** Where the last record ends. */
  #recordsEnd: number;
  #end: number;
  #lineCount = 0;
  #repeatedCount = 0;
  /** Bad lines with a record after them, and those after the last record. */
  #foreign = new BadLines();
  #trailing = new BadLines();
  #stopped = false;

  constructor({ held, position, trusted, account }: SurveyOptions) {
    this.account = account;
    this.#held = held;
    this.#trusted = trusted;
    this.#recordsEnd = position;
    this.#end = position;
  }

  get lineCount(): number {
    return this.#lineCount;
  }

  /** Where the segment ends. */
  get end(): number {
    return this.#end;
  }

  readonly visit: LineVisitor = (line, { start, end }) => {
    this.#end = end;
    if (this.#stopped) return;
    if (line.kind === "record") {
      this.#addRecord(line);
      this.#recordsEnd = end;
    } else {
      this.#trailing.add(line.kind, start);
      this.#stopped = this.#trusted && line.kind === "torn";
    }
  };

  #addRecord(line: Extract<ScannedLine, { kind: "record" }>): void {
    const { partition, offset } = line;
    this.#foreign.addAll(this.#trailing);
    this.#trailing = new BadLines();
    if (this.#held.addLine(partition, line).isRepeated) this.#repeatedCount++;
    this.#lineCount++;
    this.account?.addRecord(partition, offset);
  }

  /** Where the active file has to end; undefined where it is whole. */
  cutAt(): number | undefined {
    if (!this.#trusted) return this.#trailing.firstTorn;
    return this.#recordsEnd < this.#end ? this.#recordsEnd : undefined;
  }

  /** Tells of the lines that stay though they are no records, or are there twice. */
  report(path: string, onNotice: NoticeListener): void {
    if (this.cutAt() === undefined) this.#foreign.addAll(this.#trailing);
    else if (!this.#trusted) this.#foreign.addAll(this.#trailing.beforeTorn());
    const { lineCount, firstPosition } = this.#foreign;
    this.account?.addForeign(lineCount);
    if (firstPosition !== undefined) {
      onNotice({ kind: "foreign lines", path, lineCount, firstPosition });
    }
    if (this.#repeatedCount > 0) {
      onNotice({ kind: "repeated lines", path, lineCount: this.#repeatedCount });
    }
  }
}

/** Lines that are no records. */
class BadLines {
  lineCount = 0;
  firstPosition: number | undefined;
  firstTorn: number | undefined;
  #countBeforeTorn = 0;

  add(kind: "foreign" | "torn", start: number): void {
    this.lineCount++;
    this.firstPosition ??= start;
    if (kind === "torn") this.firstTorn ??= start;
    if (this.firstTorn === undefined) this.#countBeforeTorn++;
  }

  addAll(others: BadLines): void {
    this.lineCount += others.lineCount;
    this.firstPosition ??= others.firstPosition;
  }

  /** Those that stay when the file is cut at the first torn one. */
  beforeTorn(): BadLines {
    const kept = new BadLines();
    kept.lineCount = this.#countBeforeTorn;
    if (kept.lineCount > 0) kept.firstPosition = this.firstPosition;
    return kept;
  }
}
