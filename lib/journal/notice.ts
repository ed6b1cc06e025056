/**
 * Events that a journal reports; each becomes one log line.
 */

export type JournalNotice =
  | { readonly kind: "created"; readonly directory: string; readonly journalId: string }
  /**
   * There was no checkpoint, or it could not be trusted. Manifests were read, and every line of segments without one.
   */
  | {
    readonly kind: "rebuilt";
    readonly directory: string;
    readonly reason: string;
    readonly journalId: string;
    /** False if the checkpoint was this journal's own, so its id was kept. */
    readonly newId: boolean;
    readonly segmentCount: number;
    /** Segments recovered from their manifests alone; `lineCount` and `bytes` count the others. */
    readonly manifestCount: number;
    readonly lineCount: number;
    readonly bytes: number;
    readonly durationMs: number;
  }
  /** The end of the journal, left incomplete by a crash, was moved to another file. */
  | {
    readonly kind: "cut";
    readonly path: string;
    /** The journal's new end. */
    readonly position: number;
    readonly bytes: number;
    /** File with the exact bytes that were cut. */
    readonly savedAs: string;
  }
  /** Lines that are not records, left in place. */
  | {
    readonly kind: "foreign lines";
    readonly path: string;
    readonly lineCount: number;
    readonly firstPosition: number;
  }
  /** Records that the journal contains twice; our own tracker never writes them. */
  | { readonly kind: "repeated lines"; readonly path: string; readonly lineCount: number }
  | { readonly kind: "rotated"; readonly path: string; readonly number: number }
  /** A closed segment got its manifest. With the manifest's hash noted elsewhere, changes to either can be detected. */
  | {
    readonly kind: "sealed";
    readonly path: string;
    readonly lineCount: number;
    readonly bytes: number;
    readonly manifestSha256: string;
    readonly durationMs: number;
  }
  | {
    readonly kind: "compressed";
    readonly path: string;
    readonly savedAs: string;
    readonly bytes: number;
    readonly compressedBytes: number;
    readonly durationMs: number;
  }
  | { readonly kind: "removed"; readonly path: string; readonly manifest: string }
  /** A segment differs from its manifest; it is left as it is. */
  | { readonly kind: "segment changed"; readonly path: string; readonly reason: string }
  /** Manifests, compression, and removal are delayed; the journal keeps working. Reported once until it works again. */
  | { readonly kind: "upkeep failed"; readonly directory: string; readonly error: unknown }
  /** Nothing can be written; the journal keeps retrying. Reported once, and again when the reason changes. */
  | {
    readonly kind: "stalled";
    readonly path: string;
    readonly error: unknown;
    readonly waitingLineCount: number;
    readonly waitingBytes: number;
  }
  | { readonly kind: "recovered"; readonly path: string; readonly stalledMs: number }
  /**
   * The files were not those that this journal had written, so they were read again as after a restart. Waiting
   * appends were refused with `JournalReopenedError`.
   */
  | {
    readonly kind: "reopened";
    readonly directory: string;
    readonly reason: string;
    readonly journalId: string;
    readonly newId: boolean;
    /** Offsets that were held and are no longer in the files. */
    readonly forgottenOffsetCount: number;
  }
  /** The journal is complete, but the next start will read more of it. Reported once until it works again. */
  | { readonly kind: "checkpoint failed"; readonly directory: string; readonly error: unknown };

export type NoticeListener = (notice: JournalNotice) => void;
