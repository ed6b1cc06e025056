/**
 * The figures of `monitor --json` for other programs, from a tracker's files alone.
 */

import { checkFolder, Follower } from "./follow.ts";
import { formatJson } from "./views/json_view.ts";

/** The output of `monitor --json`; it has more fields than those named here. */
export interface MonitorFigures {
  /** Journal lines, including archives. */
  readonly received: number;
  /** Valid orders. */
  readonly processed: number;
  /** Invalid records. */
  readonly failed: number;
  /** Share of all messages; null if nothing was received. */
  readonly success_rate_percent: number | null;
  /** Messages per second over the last minute. */
  readonly messages_per_second: number;
  /** Score from 0 to 100. */
  readonly quality_score: number;
  /** `stale` if nothing was written for a minute. */
  readonly health: "healthy" | "unhealthy" | "stale" | "no_data";
  /** Sentences, the most important first; never empty. */
  readonly reasons: readonly string[];
  /** High watermark minus committed offset, over all partitions; null if unknown. */
  readonly lag: number | null;
  /** Other fields of `monitor --json`. */
  readonly [name: string]: unknown;
}

/** Follows a tracker's folder. Neither writes nor uses the network, and reads each line only once. */
export class FolderMonitor implements Disposable {
  readonly #follower: Follower;

  /**
   * Opens nothing yet.
   *
   * @param folder that the tracker has as `--logs`; it need not exist yet.
   * @throws {Error} if it is a file, or cannot be listed.
   */
  constructor(folder: string) {
    checkFolder(folder);
    this.#follower = new Follower(folder);
  }

  /**
   * Reads what was written since the last call, and returns the current figures.
   *
   * @throws {Error} if an existing file cannot be read.
   */
  async look(): Promise<MonitorFigures> {
    await this.#follower.catchUp();
    return JSON.parse(formatJson(this.#follower.snapshot())) as MonitorFigures;
  }

  /** Closes the files. */
  [Symbol.dispose](): void {
    this.#follower[Symbol.dispose]();
  }
}
