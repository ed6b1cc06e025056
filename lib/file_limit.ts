/**
 * Turns the file-size limit (`ulimit -f`) into a write error.
 */

/**
 * Installs a listener for SIGXFSZ, which otherwise kills the process on a write beyond the file-size limit. With a
 * listener, the write fails as on a full disk. Returns a function that removes the listener.
 */
export function surviveFileLimit(): () => void {
  if (Deno.build.os === "windows") return () => {};
  const listener = () => {};
  Deno.addSignalListener("SIGXFSZ", listener);
  return () => Deno.removeSignalListener("SIGXFSZ", listener);
}
