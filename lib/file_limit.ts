/**
 * The file-size limit (`ulimit -f`) as an error instead of the process's end.
 *
 * @module
 */

/**
 * A write beyond the file-size limit sends SIGXFSZ, which kills the process unless somebody listens;
 * with a listener the write fails as on a full disk. Returns what ends the listening.
 */
export function surviveFileLimit(): () => void {
  if (Deno.build.os === "windows") return () => {};
  const listener = () => {};
  Deno.addSignalListener("SIGXFSZ", listener);
  return () => Deno.removeSignalListener("SIGXFSZ", listener);
}
