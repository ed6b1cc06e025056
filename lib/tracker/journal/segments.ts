/**
 * The files of a journal: `tracker.events`, which is being written, and the segments closed before
 * it, `tracker.events.000001` and up. A number is never used twice and a file never overwritten.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { readRange, type Storage, type StoredFile } from "./storage.ts";

export const ACTIVE_NAME = "tracker.events";

/** Of a segment's first line, and before a position, so many bytes stand for all of it. */
const EDGE_BYTES = 4096;
const NEWLINE = 0x0a;

const NUMBER_DIGITS = 6;
const CLOSED_NAME = /^tracker\.events\.(\d{6,})$/;
/** What belongs to a closed segment, the segment itself included, such as `tracker.manifest.000001.json`. */
const NUMBERED_NAME = /^tracker\.(?:events|manifest)\.(\d{6,})(?:\.|$)/;

export interface ClosedSegment {
  readonly number: number;
  readonly path: string;
  readonly bytes: number;
}

export interface SegmentList {
  /** By number, lowest first. */
  readonly closed: readonly ClosedSegment[];
  readonly active: { readonly path: string; readonly bytes: number } | undefined;
  /** Above every number in use. */
  readonly nextNumber: number;
}

export function activePath(directory: string): string {
  return join(directory, ACTIVE_NAME);
}

export function closedPath(directory: string, number: number): string {
  return join(directory, `${ACTIVE_NAME}.${String(number).padStart(NUMBER_DIGITS, "0")}`);
}

export async function listSegments(storage: Storage, directory: string): Promise<SegmentList> {
  const closed: ClosedSegment[] = [];
  let nextNumber = 1;
  for (const name of await storage.list(directory)) {
    const used = NUMBERED_NAME.exec(name)?.[1];
    if (used !== undefined) nextNumber = Math.max(nextNumber, Number(used) + 1);
    const number = CLOSED_NAME.exec(name)?.[1];
    if (number === undefined) continue;
    const path = join(directory, name);
    const facts = await storage.stat(path);
    if (facts !== undefined) closed.push({ number: Number(number), path, bytes: facts.bytes });
  }
  closed.sort((a, b) => a.number - b.number);
  const path = activePath(directory);
  const facts = await storage.stat(path);
  return { closed, active: facts && { path, bytes: facts.bytes }, nextNumber };
}

/** What tells one segment, read or written up to a position, from any other file. */
export interface SegmentFingerprint {
  /** Of the first line: tells whose segment it is, even where it was cut since. */
  readonly headSha256: string;
  /** Of the last bytes before the position: also tells whether lines before it came or went. */
  readonly tailSha256: string;
}

export function fingerprint(edges: SegmentEdges): SegmentFingerprint {
  return {
    headSha256: sha256(edges.head),
    tailSha256: sha256(edges.tail),
  };
}

/** The first line and the last bytes of a segment, as far as 4,096 bytes of each, kept in step with what is appended to it. */
export class SegmentEdges {
  #head: Uint8Array;
  #tail: Uint8Array;

  constructor(head: Uint8Array = new Uint8Array(), tail: Uint8Array = new Uint8Array()) {
    this.#head = head;
    this.#tail = tail;
  }

  /** The edges of what lies before `position`. */
  static async read(file: StoredFile, position: number): Promise<SegmentEdges> {
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
