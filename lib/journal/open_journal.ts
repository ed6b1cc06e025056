/**
 * Opening a journal: locks the folder, repairs what the last run left, and writes a first checkpoint.
 *
 * @module
 */

import { ActiveSegment } from "./active_segment.ts";
import type { Clock } from "./clock.ts";
import { surviveFileLimit } from "../file_limit.ts";
import { FolderLock, JournalLockedError } from "./folder_lock.ts";
import { Journal } from "./journal.ts";
import type { NoticeListener } from "./notice.ts";
import { recover } from "./recovery.ts";
import { createDirectory, denoStorage, type Storage } from "./storage.ts";
import { JournalUnwritableError } from "./unwritable.ts";

export interface JournalOptions {
  /** The folder; created where it is missing. */
  readonly directory: string;
  /**
   * A segment is closed before it would grow beyond this many bytes; default: never. One append
   * larger than that has a segment of its own.
   */
  readonly rotateBytes?: number | undefined;
  /** Whether closed segments are compressed, in the background; default: no. */
  readonly compress?: boolean | undefined;
  /**
   * Closed segments older than this many milliseconds are removed; default: never. Their records are
   * held on: they are not appended again.
   */
  readonly keepMs?: number | undefined;
  /** Called at once, from within the journal's work: it should return quickly, and not throw. */
  readonly onNotice: NoticeListener;
  /** Called once, when the folder's lock is taken and before anything is read: that may take long. */
  readonly onLocked?: () => void;
  readonly storage?: Storage;
  readonly clock?: Clock;
}

/**
 * Opens the journal of a folder, or begins one: takes the folder's lock, and repairs what the last
 * run left. Reads what was written after the last checkpoint (32 MB or so at most, 0.2 s); without a
 * good checkpoint it reads everything (5 s a GB) but the closed segments that have manifests.
 *
 * @throws {JournalLockedError} where another tracker has the folder.
 * @throws {JournalUnwritableError} where the folder or a file in it cannot be written.
 */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { directory, rotateBytes, storage = denoStorage } = options;
  const onNotice = guarded(options.onNotice);
  if (rotateBytes !== undefined && !(Number.isSafeInteger(rotateBytes) && rotateBytes > 0)) {
    throw new RangeError(`Cannot rotate at ${rotateBytes} bytes: expected a whole number above 0`);
  }
  if (options.keepMs !== undefined && !(options.keepMs > 0)) {
    throw new RangeError(`Cannot keep segments for ${options.keepMs} ms: expected more than 0`);
  }
  let lock: FolderLock | undefined;
  const forgetFileLimit = surviveFileLimit();
  try {
    await createDirectory(storage, directory);
    lock = await FolderLock.take(storage, directory);
    options.onLocked?.();
    const recovered = await recover({ storage, directory, onNotice });
    const segment = await ActiveSegment.open({
      storage,
      directory,
      ...recovered.active,
      isHashed: rotateBytes !== undefined,
    });
    const journal = new Journal({ ...options, onNotice }, { lock, recovered, segment });
    await journal.begin();
    return journal;
  } catch (error) {
    lock?.release();
    throw error instanceof JournalLockedError
      ? error
      : new JournalUnwritableError(directory, error);
  } finally {
    forgetFileLimit();
  }
}

/** A listener that throws must not look like a disk that fails, nor go unseen. */
function guarded(onNotice: NoticeListener): NoticeListener {
  return (notice) => {
    try {
      onNotice(notice);
    } catch (error) {
      reportError(error);
    }
  };
}
