/**
 * Starts a process that holds a lock while it lives, and that ends when we die.
 *
 * On Linux, both come from util-linux: `setpriv` and `flock` exec the command, which keeps the process id. So the
 * kernel sends it SIGTERM when we die, and it holds the lock itself. If they are missing, we hold the lock ourselves,
 * and a process that outlives us has none.
 */

/** The process's exit code if the lock was taken between {@link acquireLauncher} and the start. */
export const LOCKED_EXIT_CODE = 75;

export interface Launcher {
  /** Starts the command in its own session, so that Ctrl-C in the terminal does not reach it. */
  spawn(command: string, args: readonly string[]): Deno.ChildProcess;
  /** Must be called when the process has ended, or was never started. */
  release(): void;
}

/** Returns a launcher for one process that holds the lock; undefined if another process holds it. */
export async function acquireLauncher(lockPath: string): Promise<Launcher | undefined> {
  const [program = "", ...wrapping] = [
    "setpriv",
    "--pdeathsig",
    "TERM",
    "flock",
    "--no-fork",
    "--nonblock",
    "--conflict-exit-code",
    String(LOCKED_EXIT_CODE),
    lockPath,
  ];
  const trial = await exitCodeOf(program, [...wrapping, "true"]);
  if (trial === LOCKED_EXIT_CODE) return undefined;
  if (trial === 0) {
    return {
      spawn: (command, args) => spawnDetached(program, [...wrapping, command, ...args]),
      release: () => {},
    };
  }

  const file = await Deno.open(lockPath, { create: true, write: true });
  if (!await file.tryLock(true)) {
    file.close();
    return undefined;
  }
  return { spawn: spawnDetached, release: () => file.close() };
}

/** Returns the exit code; undefined if the program is missing. */
async function exitCodeOf(program: string, args: string[]): Promise<number | undefined> {
  if (Deno.build.os !== "linux") return undefined;
  try {
    const { code } = await new Deno.Command(program, { args, stdin: "null", detached: true })
      .output();
    return code;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) {
      return undefined;
    }
    throw error;
  }
}

function spawnDetached(command: string, args: readonly string[]): Deno.ChildProcess {
  return new Deno.Command(command, {
    args: [...args],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    detached: true,
  }).spawn();
}
