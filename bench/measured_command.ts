/**
 * Runs a command and measures its time and memory with GNU time.
 */

export interface Measured {
  readonly seconds: number;
  /** User and system time of the process and its children. */
  readonly cpuSeconds: number;
  readonly peakMiB: number;
  readonly stdout: string;
}

/** @throws {Error} with the end of its standard error, if the command fails */
export async function measure(
  command: string,
  args: readonly string[],
  { stdoutTo }: { stdoutTo?: string } = {},
): Promise<Measured> {
  const shell = stdoutTo === undefined ? '"$@"' : `"$@" > '${stdoutTo}'`;
  const { success, stdout, stderr } = await new Deno.Command("/usr/bin/time", {
    args: timeArgs(["sh", "-c", shell, "sh", command, ...args]),
  }).output();
  const errorText = new TextDecoder().decode(stderr).trimEnd();
  if (!success) throw new Error(`${command} failed: ${errorText.slice(-500)}`);
  return { ...parseMeasured(errorText), stdout: new TextDecoder().decode(stdout) };
}

/** Returns the arguments of GNU time, which writes the command's figures as the last line of standard error. */
export function timeArgs(command: readonly string[]): string[] {
  return ["-f", "%e %U %S %M", ...command];
}

/** Parses the last line of GNU time's standard error. */
export function parseMeasured(errorText: string): Omit<Measured, "stdout"> {
  const [seconds = 0, user = 0, system = 0, peakKiB = 0] =
    (errorText.trimEnd().split("\n").at(-1) ?? "")
      .split(" ").map(Number);
  return { seconds, cpuSeconds: user + system, peakMiB: peakKiB / 1_024 };
}
