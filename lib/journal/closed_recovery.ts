/**
 * Recovers what the closed segments hold beyond the checkpoint, from their manifests, or else from their lines.
 * Reads them in the order in which they were written, because a line supersedes earlier ones.
 */

import type { SegmentAccount } from "./account.ts";
import { ArchiveReader } from "./archive.ts";
import { HeldOffsets } from "./held_offsets.ts";
import { scanLines } from "./line_scan.ts";
import { addHeld, type Manifest, readManifestFitting, readManifestOf } from "./manifest.ts";
import type { NoticeListener } from "./notice.ts";
import { accountBefore, bytesOfCovered, positionIn, type Start } from "./recovery_start.ts";
import { type ClosedSegment, numbersIn, type SegmentList } from "./segments.ts";
import type { ReadableFile, Storage } from "./storage.ts";
import { Survey, type SurveyOptions } from "./survey.ts";

export interface RecoveryOptions {
  readonly storage: Storage;
  readonly directory: string;
  readonly onNotice: NoticeListener;
}

/** A closed segment that exists, compressed or not. */
export interface RecoveredSegment {
  readonly number: number;
  readonly bytes: number;
  readonly account?: SegmentAccount;
}

export interface RecoveredClosed {
  readonly segments: readonly RecoveredSegment[];
  readonly lineCount: number;
  readonly readBytes: number;
  readonly manifestCount: number;
}

interface ClosedOptions {
  readonly start: Start;
  readonly list: SegmentList;
  readonly held: HeldOffsets;
}

/** Adds to `held` what the closed segments hold beyond the checkpoint. */
export async function recoverClosed(
  options: RecoveryOptions,
  closedOptions: ClosedOptions,
): Promise<RecoveredClosed> {
  const closed = new ClosedRecovery(options, closedOptions);
  for (const number of numbersIn(closedOptions.list)) await closed.recover(number);
  return closed;
}

class ClosedRecovery implements RecoveredClosed {
  readonly segments: RecoveredSegment[] = [];
  lineCount = 0;
  readBytes = 0;
  manifestCount = 0;
  readonly #options: RecoveryOptions;
  readonly #start: Start;
  readonly #list: SegmentList;
  readonly #held: HeldOffsets;

  constructor(options: RecoveryOptions, { start, list, held }: ClosedOptions) {
    this.#options = options;
    this.#start = start;
    this.#list = list;
    this.#held = held;
  }

  async recover(number: number): Promise<void> {
    const plain = this.#list.closed.find((segment) => segment.number === number);
    const archive = this.#list.archived.get(number);
    if (plain !== undefined) await this.#recoverPlain(plain);
    else if (this.#list.removed.has(number)) await this.#recoverRemoved(number);
    else if (archive !== undefined) await this.#recoverArchived(number, archive);
  }

  async #recoverPlain({ number, bytes, path }: ClosedSegment): Promise<void> {
    const position = positionIn(this.#start, number);
    if (position === undefined) {
      this.segments.push({ number, bytes });
      return;
    }
    const manifest = await this.#manifestFitting({ number, bytes, path });
    if (manifest !== undefined) {
      this.#addManifest(manifest);
      this.segments.push({ number, bytes });
      return;
    }
    const file = await this.#options.storage.open(path, "read");
    try {
      await file.syncData();
      const account = accountBefore(this.#start, { segment: number, position });
      const survey = await this.#survey(file, { path, position, held: this.#held, account });
      this.segments.push({ number, bytes, ...(account !== undefined && { account }) });
      this.#noteRead(survey, position);
    } finally {
      file.close();
    }
  }

  /** The file of a removed segment may still exist, whole or not. */
  async #manifestFitting(segment: ClosedSegment): Promise<Manifest | undefined> {
    const { storage } = this.#options;
    return this.#list.removed.has(segment.number)
      ? await readManifestOf(storage, this.#list, segment.number)
      : await readManifestFitting(storage, this.#list, segment);
  }

  async #recoverArchived(number: number, path: string): Promise<void> {
    const { storage } = this.#options;
    const isCovered = positionIn(this.#start, number) === undefined;
    const covered = isCovered ? bytesOfCovered(this.#start, number) : undefined;
    if (covered !== undefined) {
      this.segments.push({ number, bytes: covered });
      return;
    }
    const manifest = await readManifestOf(storage, this.#list, number);
    // Records that the checkpoint covers may have been superseded since; they must not be held again.
    const held = isCovered ? new HeldOffsets() : this.#held;
    if (manifest !== undefined) {
      this.#addManifest(manifest, held);
      this.segments.push({ number, bytes: manifest.segment.bytes });
      return;
    }
    const archive = await ArchiveReader.open(await storage.open(path, "read"));
    try {
      const survey = await this.#survey(archive, { path, position: 0, held, account: undefined });
      this.segments.push({ number, bytes: survey.end });
      this.#noteRead(survey, 0);
    } finally {
      archive.close();
    }
  }

  /** Offsets of segments removed for their age stay held. */
  async #recoverRemoved(number: number): Promise<void> {
    if (positionIn(this.#start, number) === undefined) return;
    const manifest = await readManifestOf(this.#options.storage, this.#list, number);
    if (manifest !== undefined) this.#addManifest(manifest);
  }

  #addManifest(manifest: Manifest, held = this.#held): void {
    addHeld(held, manifest);
    this.manifestCount++;
  }

  async #survey(
    file: ReadableFile,
    { path, ...options }: Omit<SurveyOptions, "trusted"> & { readonly path: string },
  ): Promise<Survey> {
    const survey = new Survey({ ...options, trusted: false });
    await scanLines(file, options.position, survey.visit);
    survey.report(path, this.#options.onNotice);
    return survey;
  }

  #noteRead({ lineCount, end }: Survey, position: number): void {
    this.lineCount += lineCount;
    this.readBytes += end - position;
  }
}
