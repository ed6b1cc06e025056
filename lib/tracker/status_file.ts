/**
 * Keeps `tracker.status` up to date: once a second a new file replaces the old one, so that readers see a complete
 * object or none. The last file of a killed tracker remains; readers recognize it by its age.
 *
 *     tracker.status.tmp   created, written, closed; then renamed to tracker.status
 *
 * If the disk is full, the old file is overwritten in place. Otherwise the tracker would look dead.
 */

import { join } from "node:path";
import { withinTime } from "../async.ts";
import type { Logger } from "../log.ts";
import { VERSION } from "../version.ts";
import { STATUS_NAME, type TrackerReport, type TrackerStatus } from "../tracker_status.ts";

export interface StatusFileOptions {
  /** The tracker's folder; this process holds its lock. */
  readonly directory: string;
  readonly topic: string;
  readonly groupId: string;
  readonly log: Logger;
  readonly intervalMs?: number;
}

const INTERVAL_MS = 1_000;
const SPACE = 0x20;
/** Limit of the last write, so that a hanging disk does not block the exit. */
const LAST_WRITE_TIMEOUT_MS = 2_000;

const STARTING: TrackerReport = {
  state: "starting",
  ready: false,
  reason: "starting",
  partitions: [],
  unassigned: null,
  open_transactions: [],
  latency_ms: null,
  counters: { received: 0, processed: 0, failed: 0, dead_lettered: 0, already_journaled: 0 },
};

export class StatusFile {
  readonly #options: StatusFileOptions;
  readonly #path: string;
  #timer: ReturnType<typeof setInterval> | undefined;
  #report: () => TrackerReport = () => STARTING;
  #writing: Promise<void> | undefined;
  #isFailing = false;
  #failure: string | undefined;

  constructor(options: StatusFileOptions) {
    this.#options = options;
    this.#path = join(options.directory, STATUS_NAME);
  }

  /** Writes the first status now, then one per second. */
  start(): void {
    this.#timer ??= setInterval(() => this.#writeIfIdle(), this.#options.intervalMs ?? INTERVAL_MS);
    this.#writeIfIdle();
  }

  noteStep(step: string): void {
    this.#report = () => ({ ...STARTING, reason: `starting: ${step}` });
  }

  follow(report: () => TrackerReport): void {
    this.#report = report;
  }

  /** Sets the error that ends the tracker, for its last status. */
  noteFailure(error: unknown): void {
    this.#failure = error instanceof Error ? error.message : String(error);
  }

  /** Writes that the tracker has stopped, if {@link start} was called. */
  async close(): Promise<void> {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    const { reason: _, ...last } = this.#report();
    const reason = this.#failure;
    this.#report = () => ({
      ...last,
      state: "stopped",
      ready: false,
      ...(reason !== undefined && { reason }),
    });
    await withinTime(this.#writeLast(), LAST_WRITE_TIMEOUT_MS);
  }

  async #writeLast(): Promise<void> {
    await this.#writing;
    await this.#write();
  }

  #writeIfIdle(): void {
    this.#writing ??= this.#write().finally(() => this.#writing = undefined);
  }

  /** Never throws: if the status cannot be written, the tracker continues, and readers see an old one. */
  async #write(): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#replace(new TextEncoder().encode(`${JSON.stringify(this.#status())}\n`));
      if (this.#isFailing) log.warn("The status file can be written again", { path: this.#path });
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) {
        log.warn("The status file cannot be written; the monitor does not see the current state", {
          path: this.#path,
          error,
        });
      }
      this.#isFailing = true;
    }
  }

  #status(): TrackerStatus {
    const { topic, groupId: group } = this.#options;
    const { state, ready, reason, ...figures } = this.#report();
    return {
      timestamp: new Date().toISOString(),
      pid: Deno.pid,
      version: VERSION,
      state,
      ready,
      ...(reason !== undefined && { reason }),
      topic,
      group,
      ...figures,
    };
  }

  async #replace(content: Uint8Array): Promise<void> {
    const temporary = `${this.#path}.tmp`;
    await remove(temporary); // of a tracker that was killed
    try {
      // createNew follows no symbolic link, and the rename replaces one.
      using file = await Deno.open(temporary, { write: true, createNew: true, mode: 0o600 });
      for (let written = 0; written < content.length;) {
        written += await file.write(content.subarray(written));
      }
      await Deno.rename(temporary, this.#path);
    } catch (error) {
      await remove(temporary).catch(() => {});
      if (!isOutOfSpace(error)) throw error;
      await this.#overwrite(content);
    }
  }

  async #overwrite(content: Uint8Array): Promise<void> {
    const { isFile, size } = await Deno.lstat(this.#path);
    if (!isFile) throw new Error(`"${this.#path}" is not a regular file`);
    // Padded with spaces, so that a single write also covers the end of a longer old status.
    const padded = new Uint8Array(Math.max(size, content.length)).fill(SPACE);
    padded.set(content);
    using file = await Deno.open(this.#path, { write: true });
    for (let written = 0; written < padded.length;) {
      written += await file.write(padded.subarray(written));
    }
    await file.truncate(content.length);
  }
}

function isOutOfSpace(error: unknown): boolean {
  return error instanceof Error && "code" in error &&
    (error.code === "ENOSPC" || error.code === "EDQUOT");
}

async function remove(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
