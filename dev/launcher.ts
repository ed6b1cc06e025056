/**
 * Starts a process that holds a lock for as long as it lives, and that ends when we die.
 *
 * On Linux both come from util-linux, whose `setpriv` and `flock` become the command in the end: its
 * process id is the command's, the kernel gives it SIGTERM at our death, and the lock is its own.
 * Where they are missing we hold the lock ourselves, and a process that outlives us has none.
 *
 * @module
 */

/** What the process exits with when the lock was taken between {@link acquireLauncher} and the start. */
export const LOCKED_EXIT_CODE = 75;

export interface Launcher {
  /** Starts the command in a session of its own: Ctrl-C in the terminal doesn't reach it. */
  spawn(command: string, args: readonly string[]): Deno.ChildProcess;
  /** To be called when the process has ended, or was never started. */
  release(): void;
}

/** A launcher for one process that holds the lock, or undefined when another process holds it. */
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

/** The exit code, or undefined where the program is missing. */
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
