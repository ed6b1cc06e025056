/**
 * Lists the closed segments of a file that may have unread lines.
 *
 * @module
 */

import { join } from "node:path";
import type { FileState, TailFiles } from "./tail_files.ts";

/** The state of a segment when it was read to its end. */
type ReadState = Pick<FileState, "identity" | "size">;

export class ClosedSegments {
  readonly #folder: string;
  readonly #name: string;
  readonly #order: "ascending" | "modified";
  readonly #files: TailFiles;
  /** By path, so that segments are not reopened at each rotation. */
  readonly #read = new Map<string, ReadState>();

  constructor(
    { folder, name, segments, files }: {
      readonly folder: string;
      /** Name of the file being appended to; its segments are called `name.<number>`. */
      readonly name: string;
      readonly segments: "ascending" | "modified";
      readonly files: TailFiles;
    },
  ) {
    this.#folder = folder;
    this.#name = name;
    this.#order = segments;
    this.#files = files;
  }

  /** Returns segments that are new or have changed since they were marked as read, oldest first. */
  unreadPaths(): readonly string[] {
    const found: { path: string; number: number; modifiedMs: number }[] = [];
    for (const fileName of this.#files.list(this.#folder)) {
      const number = this.#numberOf(fileName);
      if (number === undefined) continue;
      const path = join(this.#folder, fileName);
      const state = this.#stateOf(path);
      if (state === undefined) continue;
      const read = this.#read.get(path);
      if (read !== undefined && read.size === state.size && read.identity === state.identity) {
        continue;
      }
      found.push({ path, number, modifiedMs: state.modifiedMs });
    }
    const byNumber = this.#order === "ascending";
    found.sort((one, other) =>
      byNumber
        ? one.number - other.number
        // For numbers that shift at each rotation, the highest is the oldest.
        : one.modifiedMs - other.modifiedMs || other.number - one.number
    );
    return found.map(({ path }) => path);
  }

  /** @param state when it was read; default: the current state. */
  markRead(path: string, state: ReadState | undefined = this.#stateOf(path)): void {
    if (state !== undefined) this.#read.set(path, state);
  }

  /** Returns undefined if the segment was removed since it was listed. */
  #stateOf(path: string): Omit<FileState, "isRegular"> | undefined {
    const state = this.#files.stat(path);
    if (state !== undefined) return state;
    const obstacle = this.#files.obstacle(path);
    return obstacle === undefined ? undefined : { identity: obstacle, size: 0, modifiedMs: 0 };
  }

  #numberOf(fileName: string): number | undefined {
    if (!fileName.startsWith(`${this.#name}.`)) return undefined;
    const digits = fileName.slice(this.#name.length + 1);
    return /^\d{1,15}$/.test(digits) ? Number(digits) : undefined;
  }
}
