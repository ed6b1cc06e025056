/**
 * Child processes that do not outlive the program that started them.
 */

/**
 * Starts a process in its own session, so that Ctrl-C in a terminal does not reach it. The process gets SIGTERM when
 * this program dies, if the system supports that: Deno has no option for it, but `setpriv` (util-linux, on any Linux)
 * asks the kernel and then execs the command, which keeps the process id.
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
