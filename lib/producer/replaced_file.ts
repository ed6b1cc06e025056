/**
 * A file that is written in one go at the end of a run, in place of one of its name.
 *
 * It is created at the start, so that a run does not end with a file that cannot be written. Emptying what was there
 * would follow a symbolic link, and keep its mode.
 */

const ENCODER = new TextEncoder();

/** Creates a file for its owner alone, in place of a file or link of this name. @throws the file system's error. */
export function createReplacing(path: string): Deno.FsFile {
  const present = statOf(path);
  if (present?.isDirectory) throw new Error("it is a directory");
  if (present !== undefined) Deno.removeSync(path);
  return Deno.openSync(path, { read: true, append: true, createNew: true, mode: 0o600 });
}

function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

export class ReplacedFile {
  readonly path: string;
  readonly #file: Deno.FsFile;

  /** @throws the file system's error. */
  constructor(path: string) {
    this.path = path;
    this.#file = createReplacing(path);
  }

  /**
   * Writes the whole content and closes the file. One that does not fit on the disk is emptied: half of it would be
   * misread.
   *
   * @returns the error, if there was one.
   */
  write(content: string): unknown {
    try {
      let bytes = ENCODER.encode(content);
      while (bytes.length > 0) bytes = bytes.subarray(this.#file.writeSync(bytes));
      this.#file.syncDataSync();
      return undefined;
    } catch (error) {
      try {
        this.#file.truncateSync();
      } catch {
        // The reason that is reported is that of the write.
      }
      return error;
    } finally {
      this.#file.close();
    }
  }
}
