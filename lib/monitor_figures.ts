/**
 * The monitor's read model for another program: the figures of `monitor --json`, from a tracker's files alone.
 *
 * @module
 */

import { checkFolder, Follower } from "./monitor/follow.ts";
import { formatJson } from "./monitor/views/json_view.ts";

/** What `monitor --json` prints; the fields that are named here, and more. */
export interface MonitorFigures {
  /** Lines of the journal, archives included. */
  readonly received: number;
  /** Good orders. */
  readonly processed: number;
  /** The others. */
  readonly failed: number;
  /** Of all; null where nothing was received. */
  readonly success_rate_percent: number | null;
  /** Over the last minute. */
  readonly messages_per_second: number;
  /** 0 to 100. */
  readonly quality_score: number;
  /** `stale` where nothing was written for a minute. */
  readonly health: "healthy" | "unhealthy" | "stale" | "no_data";
  /** In words, the most important first; never empty. */
  readonly reasons: readonly string[];
  /** The high watermark minus what is committed, over all partitions; null where it is not known. */
  readonly lag: number | null;
  /** The others, as `monitor --json` has them. */
  readonly [name: string]: unknown;
}

/**
 * Follows a tracker's folder. Neither writes nor reaches the network; reads each line once, however often it
 * is asked.
 */
export class FolderMonitor implements Disposable {
  readonly #follower: Follower;

  /**
   * Opens nothing yet.
   *
   * @param folder that the tracker has as `--logs`; it need not exist yet.
   * @throws {Error} where it is a file, or cannot be listed.
   */
  constructor(folder: string) {
    checkFolder(folder);
    this.#follower = new Follower(folder);
  }

  /**
   * Reads what was written since the last time, and says what all of it means now.
   *
   * @throws {Error} where a file is there and cannot be read.
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
