/**
 * Opens a journal: locks the folder, repairs what the last run left, and writes a first checkpoint.
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
  readonly directory: string;
  /**
   * A segment is closed before it would exceed this many bytes; default: never. A larger append gets a segment of
   * its own.
   */
  readonly rotateBytes?: number | undefined;
  readonly compress?: boolean | undefined;
  /**
   * Closed segments older than this are removed; default: never. Their records stay held, so they are not appended
   * again.
   */
  readonly keepMs?: number | undefined;
  /** Called synchronously while the journal works: it should return quickly and not throw. */
  readonly onNotice: NoticeListener;
  /** Called once, after locking the folder and before reading, which may take long. */
  readonly onLocked?: () => void;
  readonly storage?: Storage;
  readonly clock?: Clock;
}

/**
 * Opens the journal of a folder, or creates one. Locks the folder and repairs what the last run left. Reads what
 * was written after the last checkpoint (at most about 32 MB, 0.2 s). Without a valid checkpoint, reads everything
 * (5 s per GB) except closed segments with manifests.
 *
 * @throws {JournalLockedError} if another tracker has locked the folder.
 * @throws {JournalUnwritableError} if the folder or a file in it cannot be written.
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

/** Rethrows a listener's error outside the journal: it must neither look like a disk failure nor be hidden. */
function guarded(onNotice: NoticeListener): NoticeListener {
  return (notice) => {
    try {
      onNotice(notice);
    } catch (error) {
      reportError(error);
    }
  };
}
