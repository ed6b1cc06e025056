/**
 * Wakes a reader when something changes in a folder.
 *
 * The folder is watched, not the file: a watcher on a file goes silent once the file is renamed and created again. A slow
 * poll runs beside it, because watchers lose events, are refused where too many are in use, and end with their folder.
 *
 * @module
 */

/** How long a lost event can go unnoticed. */
const POLL_MS = 500;
/** Events that come faster are one: a tracker writes hundreds of times a second. */
const PAUSE_MS = 100;

export class FolderWatch implements Disposable {
  readonly #folder: string;
  #watcher: Deno.FsWatcher | undefined;
  /** Which folder is watched: the name may stand for another one later. */
  #watchedIdentity: string | undefined;
  #changed = false;
  #wake: (() => void) | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Resolves when something has changed since the last call, or may have, or the signal is aborted. */
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

  /** Starts a watcher where none is, or where the folder was removed and made again. */
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
      // No watcher to be had: the poll goes on.
      return;
    }
    // There may be new files since the last look.
    this.#changed = true;
    void this.#listen(this.#watcher);
  }

  async #listen(watcher: Deno.FsWatcher): Promise<void> {
    try {
      for await (const event of watcher) {
        // Reading, our own included, is an event too on some systems.
        if (event.kind === "access") continue;
        this.#changed = true;
        this.#wake?.();
      }
    } catch {
      // The watcher failed or was closed: the poll goes on.
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
