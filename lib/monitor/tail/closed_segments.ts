/**
 * Lists the closed segments of a file that may have unread lines.
 */

import { join } from "node:path";
import type { TailOptions } from "./tail.ts";
import type { FileState } from "./tail_files.ts";

/** The state of a segment when it was read to its end. */
type ReadState = Pick<FileState, "identity" | "size">;

type ClosedSegmentsOptions = Required<Pick<TailOptions, "folder" | "name" | "segments" | "files">>;

export class ClosedSegments {
  readonly #options: ClosedSegmentsOptions;
  /** By path, so that segments are not reopened at each rotation. */
  readonly #read = new Map<string, ReadState>();

  constructor(options: ClosedSegmentsOptions) {
    this.#options = options;
  }

  /** Returns segments that are new or have changed since they were marked as read, oldest first. */
  unreadPaths(): readonly string[] {
    const { folder, segments, files } = this.#options;
    const found: { path: string; number: number; modifiedMs: number }[] = [];
    for (const fileName of files.list(folder)) {
      const number = this.#numberOf(fileName);
      if (number === undefined) continue;
      const path = join(folder, fileName);
      const state = this.#stateOf(path);
      if (state === undefined) continue;
      const read = this.#read.get(path);
      if (read !== undefined && read.size === state.size && read.identity === state.identity) {
        continue;
      }
      found.push({ path, number, modifiedMs: state.modifiedMs });
    }
    const byNumber = segments === "ascending";
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
    const { files } = this.#options;
    const state = files.stat(path);
    if (state !== undefined) return state;
    const obstacle = files.obstacle(path);
    return obstacle === undefined ? undefined : { identity: obstacle, size: 0, modifiedMs: 0 };
  }

  #numberOf(fileName: string): number | undefined {
    const { name } = this.#options;
    if (!fileName.startsWith(`${name}.`)) return undefined;
    const digits = fileName.slice(name.length + 1);
    return /^\d{1,15}$/.test(digits) ? Number(digits) : undefined;
  }
}
