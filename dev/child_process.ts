/**
 * Child processes that do not outlive the program that started them.
 *
 * @module
 */

/**
 * Starts a process in a session of its own, so that Ctrl-C in a terminal does not reach it: the program
 * that started it decides when it ends. It gets SIGTERM when that program dies, as far as the system can
 * do that: Deno has no option for it, `setpriv` (util-linux, on any Linux) asks the kernel and then
 * becomes the command, so that the process id is the command's.
 */
export function spawnBoundToUs(
  command: string,
  options: Omit<Deno.CommandOptions, "detached"> & { readonly args: string[] },
): Deno.ChildProcess {
  const detached = { ...options, detached: true };
  if (Deno.build.os === "linux") {
    try {
      const args = ["--pdeathsig", "TERM", command, ...options.args];
      return new Deno.Command("setpriv", { ...detached, args }).spawn();
    } catch (error) {
      const isMissing = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.NotCapable;
      if (!isMissing) throw error;
    }
  }
  return new Deno.Command(command, detached).spawn();
}
