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
    args: ["-f", "%e %U %S %M", "sh", "-c", shell, "sh", command, ...args],
  }).output();
  const said = new TextDecoder().decode(stderr).trimEnd();
  if (!success) throw new Error(`${command} failed: ${said.slice(-500)}`);
  const [seconds = 0, user = 0, system = 0, peakKiB = 0] = (said.split("\n").at(-1) ?? "").split(
    " ",
  ).map(Number);
  return {
    seconds,
    cpuSeconds: user + system,
    peakMiB: peakKiB / 1_024,
    stdout: new TextDecoder().decode(stdout),
  };
}
