/**
 * Maintains closed segments in the background:
 *
 *     seal       write the manifest                              always
 *     compress   tracker.events.N -> tracker.archive.N.zst       if enabled
 *     remove     the oldest segments, when they are old enough   if enabled
 *
 * Each step resumes after a crash:
 *
 *     seal       a manifest exists or not: it is renamed into place
 *     compress   pack into a temporary file -> sync -> rename -> sync the folder -> remove the segment
 *                \ half-written: discarded        \ both exist: the segment counts, and is packed again
 *     remove     rename the manifest to tracker.removed.N.json -> sync the folder -> remove the segment
 *                                                               \ removed at the next start
 *
 * Removals are not synced: a file that reappears after a power loss is removed again.
 *
 * The journal's guarantees do not depend on any of this. A failure is reported and retried.
 */

import { createHash } from "node:crypto";
import type { SegmentAccount } from "./account.ts";
import { BLOCK_BYTES, packBlock } from "./archive.ts";
import type { Clock } from "./clock.ts";
import { quickClassify } from "./line_scan.ts";
import { type Manifest, readManifest, readManifestOf, writeManifest } from "./manifest.ts";
import type { NoticeListener } from "./notice.ts";
import { hashSegment, scanSegment } from "./segment_scan.ts";
import {
  archivePath,
  closedName,
  closedPath,
  fingerprint,
  listSegments,
  manifestPath,
  removedPath,
  SegmentEdges,
  type SegmentList,
} from "./segments.ts";
import { readRange, type Storage, type StoredFile, TEMPORARY_ENDING, writeAll } from "./storage.ts";

/** How often segments are checked for their age, and failed work is retried. */
const PASS_INTERVAL_MS = 60_000;

/** A closed segment, with what was recorded while it was written. */
export interface ClosedFacts {
  readonly number: number;
  readonly bytes: number;
  readonly edges?: SegmentEdges;
  readonly sha256?: string | undefined;
  readonly account?: SegmentAccount | undefined;
}

export interface UpkeepOptions {
  readonly storage: Storage;
  readonly directory: string;
  readonly journalId: string;
  readonly onNotice: NoticeListener;
  readonly clock: Clock;
  readonly compress: boolean;
  /** Segments older than this are removed; undefined: never. */
  readonly keepMs: number | undefined;
  readonly onRemove: (number: number) => void;
}

/** Ends the work; not a failure. */
class StoppedError extends Error {
  override readonly name = "StoppedError";
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #segments = new Map<number, ClosedFacts>();
  /** Segments that differ from their manifests, each reported once. */
  readonly #changed = new Set<number>();
  readonly #createdMs = new Map<number, number>();
  readonly #stopped = new AbortController();
  #isFinishing = false;
  #isPending = false;
  #hasFailed = false;
  #wake = new AbortController();
  #running: Promise<void> | undefined;
  #last: Manifest | "none" | undefined;

  /** @param closed existing segments that are not removed. */
  constructor(options: UpkeepOptions, closed: readonly ClosedFacts[]) {
    this.#options = options;
    for (const segment of closed) this.#segments.set(segment.number, segment);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  add(segment: ClosedFacts): void {
    this.#segments.set(segment.number, segment);
    this.#isPending = true;
    this.#wake.abort();
  }

  /**
   * Stops at the next step (`now`), or when each closed segment has its manifest. Unfinished work resumes after the
   * next start.
   */
  async stop({ now, signal }: { now: boolean; signal?: AbortSignal }): Promise<void> {
    this.#isFinishing = true;
    const stopNow = () => this.#stopped.abort(new StoppedError());
    if (now || signal?.aborted) stopNow();
    else signal?.addEventListener("abort", stopNow, { once: true });
    this.#wake.abort();
    await this.#running;
    signal?.removeEventListener("abort", stopNow);
  }

  async #run(): Promise<void> {
    do {
      this.#wake = new AbortController();
      this.#isPending = false;
      try {
        await this.#pass();
        this.#hasFailed = false;
      } catch (error) {
        if (!(error instanceof StoppedError)) this.#noteFailed(error);
        if (this.#isFinishing) return;
      }
      if (!this.#isFinishing && !this.#isPending) await this.#rest();
    } while (!this.#isFinishing || this.#isPending);
  }

  /** Waits until there is a new segment, one may be old enough to remove, or failed work is due again. */
  async #rest(): Promise<void> {
    const { clock, keepMs } = this.#options;
    const { signal } = this.#wake;
    if (this.#hasFailed || (keepMs !== undefined && this.#segments.size > 0)) {
      return await clock.sleep(PASS_INTERVAL_MS, signal);
    }
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  #noteFailed(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    const { directory, onNotice } = this.#options;
    onNotice({ kind: "upkeep failed", directory, error });
  }

  async #pass(): Promise<void> {
    const { storage, directory, compress, keepMs } = this.#options;
    // A segment closed during the listing has no manifest in this pass; the next pass handles it.
    const numbers = [...this.#segments.keys()].sort((a, b) => a - b);
    const list = await listSegments(storage, directory);
    const manifests = new Set(list.manifests.keys());
    for (const { number, path } of list.closed) {
      const facts = this.#segments.get(number);
      if (facts === undefined || manifests.has(number) || list.removed.has(number)) continue;
      await this.#seal(facts, { path, list });
      manifests.add(number);
    }
    await this.#clearUp(list);
    if (compress) {
      for (const { number, path } of list.closed) {
        const isDue = this.#segments.has(number) && manifests.has(number) &&
          !this.#changed.has(number);
        if (isDue) await this.#compress(number, path);
      }
    }
    if (keepMs !== undefined) await this.#removeOld(keepMs, numbers, manifests);
  }

  /** Throws if stopping: everything but sealing can wait for the next start. */
  #mayGoOn(): void {
    this.#stopped.signal.throwIfAborted();
    if (this.#isFinishing) throw new StoppedError();
  }

  async #seal(
    facts: ClosedFacts,
    { path, list }: { readonly path: string; readonly list: SegmentList },
  ): Promise<void> {
    const { storage, directory, journalId, onNotice, clock } = this.#options;
    const startedMs = performance.now();
    const { number } = facts;
    const { bytes, sha256, edges, account } = await this.#describe(facts, path);
    const last = await this.#lastManifest(list);
    const { lines, ...shares } = account.data();
    this.#stopped.signal.throwIfAborted();
    // If this throws, the manifest may exist anyway: the last one must be looked up again.
    this.#last = undefined;
    const manifest = await writeManifest(storage, manifestPath(directory, number), {
      segment: { name: closedName(number), bytes, lines, sha256, fingerprint: fingerprint(edges) },
      ...shares,
      created: clock.date().toISOString(),
      journal: journalId,
      chain: (last?.chain ?? 0) + 1,
      previous: last === undefined ? null : { segment: last.segment.name, sha256: last.sha256 },
    });
    this.#last = manifest;
    this.#segments.set(number, { number, bytes });
    onNotice({
      kind: "sealed",
      path,
      lineCount: lines,
      bytes,
      manifestSha256: manifest.sha256,
      durationMs: performance.now() - startedMs,
    });
  }

  /** Returns what was recorded while the segment was written, or else reads it. */
  async #describe(
    facts: ClosedFacts,
    path: string,
  ): Promise<
    Required<Pick<ClosedFacts, "bytes" | "edges">> & { sha256: string; account: SegmentAccount }
  > {
    const { bytes, edges, sha256, account } = facts;
    if (edges !== undefined && sha256 !== undefined && account !== undefined) {
      return { bytes, edges, sha256, account };
    }
    const { signal } = this.#stopped;
    const file = await this.#options.storage.open(path, "read");
    try {
      if (account !== undefined) {
        const hashed = await hashSegment(file, signal);
        if (hashed.bytes === bytes) {
          return { ...hashed, account, edges: edges ?? await SegmentEdges.read(file, bytes) };
        }
      }
      return await scanSegment(file, { classify: quickClassify, signal });
    } finally {
      file.close();
    }
  }

  async #lastManifest({ manifests, removed }: SegmentList): Promise<Manifest | undefined> {
    if (this.#last === undefined) {
      let last: Manifest | undefined;
      for (const number of new Set([...manifests.keys(), ...removed.keys()])) {
        const manifest = await readManifestOf(
          this.#options.storage,
          { manifests, removed },
          number,
        );
        if (manifest !== undefined && manifest.chain > (last?.chain ?? 0)) last = manifest;
      }
      this.#last = last ?? "none";
    }
    return this.#last === "none" ? undefined : this.#last;
  }

  /** Finishes what a crash interrupted. */
  async #clearUp({ removed, leftovers, closed, archived }: SegmentList): Promise<void> {
    const { storage, directory, onRemove } = this.#options;
    for (const path of leftovers) {
      this.#mayGoOn();
      await storage.remove(path);
    }
    const files = new Set([...closed.map(({ number }) => number), ...archived.keys()]);
    for (const number of removed.keys()) {
      if (this.#segments.delete(number)) onRemove(number);
      if (!files.has(number)) continue;
      this.#mayGoOn();
      // The rename that marks the removal may not have been synced.
      await storage.syncDirectory(directory);
      await this.#removeFiles(number);
    }
  }

  async #compress(number: number, path: string): Promise<void> {
    const { storage, directory, onNotice } = this.#options;
    this.#mayGoOn();
    const startedMs = performance.now();
    const manifest = await this.#manifestOf(number);
    if (manifest === undefined) return;
    const savedAs = archivePath(directory, number);
    const temporary = savedAs + TEMPORARY_ENDING;
    try {
      const packed = await this.#pack(path, temporary);
      if (packed.sha256 !== manifest.segment.sha256) {
        await storage.remove(temporary);
        const { sha256 } = manifest.segment;
        return this.#noteChanged(number, `its SHA-256 is ${packed.sha256}, expected ${sha256}`);
      }
      await storage.rename(temporary, savedAs);
      await storage.syncDirectory(directory);
      await storage.remove(path);
      onNotice({
        kind: "compressed",
        path,
        savedAs,
        ...packed,
        durationMs: performance.now() - startedMs,
      });
    } catch (error) {
      // On a full disk, the partial file takes space that the journal needs.
      await storage.remove(temporary).catch(() => {});
      throw error;
    }
  }

  /** Writes the archive of a segment, durably, and returns the segment's hash. */
  async #pack(
    from: string,
    to: string,
  ): Promise<{ bytes: number; compressedBytes: number; sha256: string }> {
    const { storage } = this.#options;
    const opened: StoredFile[] = [];
    try {
      const segment = await storage.open(from, "read");
      opened.push(segment);
      const archive = await storage.open(to, "replace");
      opened.push(archive);
      const hash = createHash("sha256");
      let bytes = 0;
      let compressedBytes = 0;
      while (true) {
        this.#mayGoOn();
        const block = await readRange(segment, { start: bytes, end: bytes + BLOCK_BYTES });
        if (block.length === 0) break;
        const packed = packBlock(block);
        await writeAll(archive, packed);
        hash.update(block);
        bytes += block.length;
        compressedBytes += packed.length;
      }
      await archive.syncData();
      return { bytes, compressedBytes, sha256: hash.digest("hex") };
    } finally {
      for (const file of opened) file.close();
    }
  }

  async #removeOld(keepMs: number, numbers: number[], manifests: Set<number>): Promise<void> {
    const { storage, directory, onNotice, onRemove, clock } = this.#options;
    for (const number of numbers.filter((each) => this.#segments.has(each))) {
      this.#mayGoOn();
      if (!manifests.has(number)) {
        return this.#noteChanged(
          number,
          "it has no manifest, so neither it nor later segments are removed",
        );
      }
      const createdMs = await this.#createdMsOf(number);
      if (createdMs === undefined || clock.date().getTime() - createdMs < keepMs) return;
      await storage.rename(manifestPath(directory, number), removedPath(directory, number));
      await storage.syncDirectory(directory);
      this.#segments.delete(number);
      onRemove(number);
      await this.#removeFiles(number);
      onNotice({
        kind: "removed",
        path: closedPath(directory, number),
        manifest: removedPath(directory, number),
      });
    }
  }

  /** Returns when the segment's manifest was made; undefined if it has no valid one. */
  async #createdMsOf(number: number): Promise<number | undefined> {
    let createdMs = this.#createdMs.get(number);
    if (createdMs === undefined) {
      const manifest = await this.#manifestOf(number);
      if (manifest === undefined) return undefined;
      createdMs = Date.parse(manifest.created);
      this.#createdMs.set(number, createdMs);
    }
    return createdMs;
  }

  /** Returns undefined, and reports it, if the manifest is damaged or gone. */
  async #manifestOf(number: number): Promise<Manifest | undefined> {
    const { storage, directory } = this.#options;
    try {
      return await readManifest(storage, manifestPath(directory, number));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.#noteChanged(number, `its manifest cannot be read: ${error.message}`);
      return undefined;
    }
  }

  #noteChanged(number: number, reason: string): void {
    if (this.#changed.has(number)) return;
    this.#changed.add(number);
    const { directory, onNotice } = this.#options;
    onNotice({ kind: "segment changed", path: closedPath(directory, number), reason });
  }

  async #removeFiles(number: number): Promise<void> {
    const { storage, directory } = this.#options;
    await storage.remove(closedPath(directory, number));
    await storage.remove(archivePath(directory, number));
  }
}
