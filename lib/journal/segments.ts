/**
 * The files of a journal. A number is never reused, and a file never overwritten.
 *
 *     tracker.events                  being written
 *     tracker.events.000001           closed
 *     tracker.archive.000001.zst      closed and compressed, replaces the segment (`archive.ts`)
 *     tracker.manifest.000001.json    describes the closed segment (`manifest.ts`)
 *     tracker.removed.000001.json     the same manifest, after the segment was removed for its age
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import {
  type FileFacts,
  type ReadableFile,
  readRange,
  type Storage,
  TEMPORARY_ENDING,
} from "./storage.ts";

export const ACTIVE_NAME = "tracker.events";
export const ARCHIVE_ENDING = ".zst";

/** This many bytes of a segment's first line, and before a position, identify all of it. */
const EDGE_BYTES = 4096;
const NEWLINE = 0x0a;

const NUMBER_DIGITS = 6;
/** Files of a closed segment, including the segment itself. */
const NUMBERED_NAME = /^tracker\.(events|archive|manifest|removed)\.(\d{6,})(\..*)?$/;
const ENDINGS: Readonly<Record<string, string>> = {
  events: "",
  archive: ARCHIVE_ENDING,
  manifest: ".json",
  removed: ".json",
};

export interface ClosedSegment {
  readonly number: number;
  readonly path: string;
  readonly bytes: number;
}

export interface SegmentList {
  /** Sorted by number. */
  readonly closed: readonly ClosedSegment[];
  /** Paths of the compressed segments, by number; without those that also exist uncompressed. */
  readonly archived: ReadonlyMap<number, string>;
  /** Paths of the manifests of existing and of removed segments, by number. */
  readonly manifests: ReadonlyMap<number, string>;
  readonly removed: ReadonlyMap<number, string>;
  readonly active: FileFacts & { readonly path: string } | undefined;
  /** Archives left half-written by a crash. */
  readonly leftovers: readonly string[];
  readonly nextNumber: number;
}

export function activePath(directory: string): string {
  return join(directory, ACTIVE_NAME);
}

export function closedPath(directory: string, number: number): string {
  return join(directory, closedName(number));
}

/** Returns the name of a segment when it is closed. It keeps it when it is compressed or removed. */
export function closedName(number: number): string {
  return `${ACTIVE_NAME}.${digits(number)}`;
}

export function archivePath(directory: string, number: number): string {
  return join(directory, `tracker.archive.${digits(number)}${ARCHIVE_ENDING}`);
}

export function manifestPath(directory: string, number: number): string {
  return join(directory, `tracker.manifest.${digits(number)}.json`);
}

export function removedPath(directory: string, number: number): string {
  return join(directory, `tracker.removed.${digits(number)}.json`);
}

function digits(number: number): string {
  return String(number).padStart(NUMBER_DIGITS, "0");
}

export async function listSegments(storage: Storage, directory: string): Promise<SegmentList> {
  const found = {
    events: new Map<number, string>(),
    archive: new Map<number, string>(),
    manifest: new Map<number, string>(),
    removed: new Map<number, string>(),
  };
  const leftovers: string[] = [];
  let nextNumber = 1;
  for (const name of (await storage.list(directory)).toSorted()) {
    const [, kind = "", digits, ending = ""] = NUMBERED_NAME.exec(name) ?? [];
    if (digits === undefined) continue;
    const number = Number(digits);
    nextNumber = Math.max(nextNumber, number + 1);
    if (ending === ENDINGS[kind]) {
      found[kind as keyof typeof found].set(number, join(directory, name));
    } else if (kind === "archive" && ending.endsWith(TEMPORARY_ENDING)) {
      leftovers.push(join(directory, name));
    }
  }
  const closed: ClosedSegment[] = [];
  for (const [number, path] of found.events) {
    const facts = await storage.stat(path);
    if (facts !== undefined) closed.push({ number, path, bytes: facts.bytes });
  }
  closed.sort((a, b) => a.number - b.number);
  for (const { number } of closed) found.archive.delete(number);
  const path = activePath(directory);
  const facts = await storage.stat(path);
  return {
    closed,
    archived: found.archive,
    manifests: found.manifest,
    removed: found.removed,
    active: facts && { path, ...facts },
    leftovers,
    nextNumber,
  };
}

/** Returns the numbers of all closed segments, including removed ones, sorted. */
export function numbersIn(
  { closed, archived, manifests, removed }: SegmentList,
): readonly number[] {
  const numbers = new Set([
    ...closed.map(({ number }) => number),
    ...archived.keys(),
    ...manifests.keys(),
    ...removed.keys(),
  ]);
  return [...numbers].sort((a, b) => a - b);
}

/** Distinguishes a segment, read or written up to a position, from any other file. */
export interface SegmentFingerprint {
  /** Hash of the first line: identifies the segment, even if it was cut since. */
  readonly headSha256: string;
  /** Hash of the last bytes before the position: also shows whether earlier lines were added or removed. */
  readonly tailSha256: string;
}

export function fingerprint(edges: SegmentEdges): SegmentFingerprint {
  return {
    headSha256: sha256(edges.head),
    tailSha256: sha256(edges.tail),
  };
}

/** Keeps the first line and the last bytes of a segment, up to 4,096 bytes of each, up to date with appends. */
export class SegmentEdges {
  #head: Uint8Array;
  #tail: Uint8Array;

  constructor(head: Uint8Array = new Uint8Array(), tail: Uint8Array = new Uint8Array()) {
    this.#head = head;
    this.#tail = tail;
  }

  static async read(file: ReadableFile, position: number): Promise<SegmentEdges> {
    const bytes = Math.min(position, EDGE_BYTES);
    return new SegmentEdges(
      firstLine(await readRange(file, { start: 0, end: bytes })),
      await readRange(file, { start: position - bytes, end: position }),
    );
  }

  get head(): Uint8Array {
    return this.#head;
  }

  get tail(): Uint8Array {
    return this.#tail;
  }

  append(bytes: Uint8Array): void {
    if (this.#head.length < EDGE_BYTES && this.#head.at(-1) !== NEWLINE) {
      const missing = bytes.subarray(0, EDGE_BYTES - this.#head.length);
      this.#head = firstLine(joined(this.#head, missing));
    }
    const tail = bytes.subarray(-EDGE_BYTES);
    const kept = EDGE_BYTES - tail.length;
    this.#tail = joined(kept === 0 ? new Uint8Array() : this.#tail.subarray(-kept), tail);
  }
}

function firstLine(bytes: Uint8Array): Uint8Array {
  const newline = bytes.indexOf(NEWLINE);
  return newline === -1 ? bytes : bytes.slice(0, newline + 1);
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}
