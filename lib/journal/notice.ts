/**
 * What a journal has to say to whoever runs it: each is one event, for one line in the log.
 *
 * @module
 */

export type JournalNotice =
  /** A folder with no journal in it: a new one was begun. */
  | { readonly kind: "created"; readonly directory: string; readonly journalId: string }
  /** The checkpoint could not be trusted (or there was none): manifests, and every line without one, were read. */
  | {
    readonly kind: "rebuilt";
    readonly directory: string;
    readonly reason: string;
    readonly journalId: string;
    /** False where the checkpoint was this journal's own, so that its id could be kept. */
    readonly newId: boolean;
    readonly segmentCount: number;
    /** Segments of which the manifest was enough; lines and bytes are those of the others. */
    readonly manifestCount: number;
    readonly lineCount: number;
    readonly bytes: number;
    readonly durationMs: number;
  }
  /** The journal ended in something that a crash leaves behind; it was moved to another file. */
  | {
    readonly kind: "cut";
    readonly path: string;
    /** Where the journal ends now. */
    readonly position: number;
    readonly bytes: number;
    /** What was cut, byte for byte. */
    readonly savedAs: string;
  }
  /** Lines that are no records, left where they are. */
  | {
    readonly kind: "foreign lines";
    readonly path: string;
    readonly lineCount: number;
    readonly firstPosition: number;
  }
  /** Records that the journal has twice; our own tracker does not write such. */
  | { readonly kind: "repeated lines"; readonly path: string; readonly lineCount: number }
  | { readonly kind: "rotated"; readonly path: string; readonly number: number }
  /** A closed segment has its manifest now; with the manifest's hash noted elsewhere, nobody can change either unseen. */
  | {
    readonly kind: "sealed";
    readonly path: string;
    readonly lineCount: number;
    readonly bytes: number;
    /** Of the manifest's file. */
    readonly manifestSha256: string;
    readonly durationMs: number;
  }
  /** A closed segment was compressed; the file it was is gone. */
  | {
    readonly kind: "compressed";
    readonly path: string;
    readonly savedAs: string;
    readonly bytes: number;
    readonly compressedBytes: number;
    readonly durationMs: number;
  }
  /** A segment was removed for its age; its manifest stays. */
  | { readonly kind: "removed"; readonly path: string; readonly manifest: string }
  /** A segment is not what its manifest says: it is left as it is. */
  | { readonly kind: "segment changed"; readonly path: string; readonly reason: string }
  /** Manifests, compression and removal wait; the journal goes on. Said once until it works again. */
  | { readonly kind: "upkeep failed"; readonly directory: string; readonly error: unknown }
  /** Nothing can be written; it is tried again until it works. Said once, and again when the reason changes. */
  | {
    readonly kind: "stalled";
    readonly path: string;
    readonly error: unknown;
    readonly waitingLineCount: number;
    readonly waitingBytes: number;
  }
  /** Writing goes on. */
  | { readonly kind: "recovered"; readonly path: string; readonly stalledMs: number }
  /**
   * The files were no longer those that this journal had written, and were read as if it had just
   * been opened; appends that waited were refused with `JournalReopenedError`.
   */
  | {
    readonly kind: "reopened";
    readonly directory: string;
    readonly reason: string;
    readonly journalId: string;
    readonly newId: boolean;
    /** Offsets that were held before and are not in the files any more. */
    readonly forgottenOffsetCount: number;
  }
  /** The journal is whole, but the next start has to read more of it. Said once until it works again. */
  | { readonly kind: "checkpoint failed"; readonly directory: string; readonly error: unknown };

export type NoticeListener = (notice: JournalNotice) => void;
