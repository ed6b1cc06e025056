/**
 * Tracks whether the journal can be written, and sends notices when a stall begins, changes its reason, or ends.
 */

import type { Clock } from "./clock.ts";
import type { NoticeListener } from "./notice.ts";

export class Stall {
  readonly #clock: Clock;
  readonly #onNotice: NoticeListener;
  #sinceMs = 0;
  #reason: string | undefined;

  constructor({ clock, onNotice }: { readonly clock: Clock; readonly onNotice: NoticeListener }) {
    this.#clock = clock;
    this.#onNotice = onNotice;
  }

  /** Why the journal cannot be written at the moment; undefined if it can. */
  get reason(): string | undefined {
    return this.#reason;
  }

  note(
    error: unknown,
    { path, pending }: {
      readonly path: string;
      readonly pending: { readonly lineCount: number; readonly bytes: number };
    },
  ): void {
    const reason = error instanceof Error ? error.message : String(error);
    if (this.#reason === reason) return;
    if (this.#reason === undefined) this.#sinceMs = this.#clock.now();
    this.#reason = reason;
    this.#onNotice({
      kind: "stalled",
      path,
      error,
      waitingLineCount: pending.lineCount,
      waitingBytes: pending.bytes,
    });
  }

  end(path: string): void {
    if (this.#reason === undefined) return;
    this.#reason = undefined;
    this.#onNotice({ kind: "recovered", path, stalledMs: this.#clock.now() - this.#sinceMs });
  }
}
