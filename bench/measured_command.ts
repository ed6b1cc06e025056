/**
 * Runs a command to its end and says what it cost, by GNU time's account.
 *
 * @module
 */

export interface Measured {
  readonly seconds: number;
  /** User and system time of the process and its children. */
  readonly cpuSeconds: number;
  readonly peakMiB: number;
  readonly stdout: string;
}

/** @throws {Error} where the command fails, with the end of what it said. */
export async function measure(
  command: string,
  args: readonly string[],
  { stdoutTo }: { stdoutTo?: string } = {},
): Promise<Measured> {
  const shell = stdoutTo === undefined ? '"$@"' : `"$@" > '${stdoutTo}'`;
  const { success, stdout, stderr } = await new Deno.Command("/usr/bin/time", {
    args: timeArgs(["sh", "-c", shell, "sh", command, ...args]),
  }).output();
  const said = new TextDecoder().decode(stderr).trimEnd();
  if (!success) throw new Error(`${command} failed: ${said.slice(-500)}`);
  return { ...parseMeasured(said), stdout: new TextDecoder().decode(stdout) };
}

/** Returns the arguments with which GNU time ends its standard error with a command's figures. */
export function timeArgs(command: readonly string[]): string[] {
  return ["-f", "%e %U %S %M", ...command];
}

/** Reads the figures at the end of GNU time's standard error. */
export function parseMeasured(said: string): Omit<Measured, "stdout"> {
  const [seconds = 0, user = 0, system = 0, peakKiB = 0] = (said.trimEnd().split("\n").at(-1) ?? "")
    .split(" ").map(Number);
  return { seconds, cpuSeconds: user + system, peakMiB: peakKiB / 1_024 };
}
