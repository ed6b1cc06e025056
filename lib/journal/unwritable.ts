/**
 * The error for a folder that cannot be written, with advice.
 */

/** The folder cannot be written to. `cause` is the operating system's error. */
export class JournalUnwritableError extends Error {
  override readonly name = "JournalUnwritableError";
  readonly path: string;

  constructor(path: string, cause: unknown) {
    super(`Cannot open the journal in "${path}": ${reasonOf(cause)}`, { cause });
    this.path = path;
  }
}

function reasonOf(cause: unknown): string {
  if (cause instanceof Deno.errors.NotCapable) {
    return "Deno was not allowed to; run it with --allow-read and --allow-write for this folder";
  }
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  switch (code) {
    case "EACCES":
    case "EPERM":
      return "permission denied; make the folder and the files in it writable for this user, or name another with --logs";
    case "EROFS":
      return "the file system is read-only; mount it writable, or name another folder with --logs";
    case "ENOSPC":
    case "EDQUOT":
      return "no space left on the disk; make room, or name another folder with --logs";
    case "ENOTDIR":
    case "EEXIST":
      return "it is not a folder; name one with --logs";
    default:
      return cause instanceof Error ? cause.message : String(cause);
  }
}
