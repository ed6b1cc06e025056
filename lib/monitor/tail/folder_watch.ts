/**
 * Wakes a reader when something changes in a folder.
 *
 * Watches the folder, because a watcher on a file goes silent once the file is renamed and created again. Also polls
 * slowly, because watchers lose events, are refused when too many are in use, and end with their folder.
 */

/** How long a lost event can go unnoticed. */
const POLL_MS = 500;
/** Merges frequent events: a tracker writes hundreds of times per second. */
const PAUSE_MS = 100;

export class FolderWatch implements Disposable {
  readonly #folder: string;
  #watcher: Deno.FsWatcher | undefined;
  /** Identifies the watched folder, because the name may later refer to another one. */
  #watchedIdentity: string | undefined;
  #changed = false;
  #wake: (() => void) | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Resolves when something may have changed since the last call, or the signal is aborted. */
  async changed(signal: AbortSignal): Promise<void> {
    this.#watch();
    await this.#wait(PAUSE_MS, signal);
    if (!this.#changed) await this.#wait(POLL_MS - PAUSE_MS, signal, () => this.#changed);
    this.#changed = false;
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  async #wait(ms: number, signal: AbortSignal, isEarly = () => false): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const onAbort = () => resolve();
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", onAbort);
    this.#wake = () => isEarly() && resolve();
    await promise;
    this.#wake = undefined;
    signal.removeEventListener("abort", onAbort);
    clearTimeout(timer);
  }

  /** Starts a watcher if there is none, or if the folder was recreated. */
  #watch(): void {
    const identity = identityOf(this.#folder);
    if (this.#watcher !== undefined && identity === this.#watchedIdentity) return;
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#watchedIdentity = identity;
    if (identity === undefined) return;
    try {
      this.#watcher = Deno.watchFs(this.#folder, { recursive: false });
    } catch {
      // No watcher is available; polling continues.
      return;
    }
    // There may be new files since the last listing.
    this.#changed = true;
    void this.#listen(this.#watcher);
  }

  async #listen(watcher: Deno.FsWatcher): Promise<void> {
    try {
      for await (const event of watcher) {
        // On some systems, reading is an event too, including our own.
        if (event.kind === "access") continue;
        this.#changed = true;
        this.#wake?.();
      }
    } catch {
      // The watcher failed or was closed; polling continues.
    }
    if (this.#watcher === watcher) this.#watcher = undefined;
  }
}

function identityOf(folder: string): string | undefined {
  try {
    const { dev, ino } = Deno.statSync(folder);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}
