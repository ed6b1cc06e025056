/**
 * Finds Java and Maven for the development broker.
 */

/** The oldest Java that Kafka 4 supports. */
export const JAVA_VERSION_MIN = 17;

/** Returns the major version of the `java` on PATH; undefined if there is none. */
export async function javaVersion(): Promise<number | undefined> {
  const output = await firstOutput("java", ["-version"]);
  // "17.0.15" or "21-ea" since Java 9; "1.8.0_402" before.
  const [, major, minor] = /version "(\d+)(?:\.(\d+))?/.exec(output ?? "") ?? [];
  if (major === undefined) return undefined;
  return major === "1" ? Number(minor) : Number(major);
}

export async function hasMaven(): Promise<boolean> {
  return await firstOutput("mvn", ["--version"]) !== undefined;
}

/** Returns a command's output on both streams; undefined if it is missing or fails. */
async function firstOutput(command: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const { success, stdout, stderr } = await new Deno.Command(command, {
      args: [...args],
      stdin: "null",
      detached: true, // otherwise Ctrl-C would look like a missing Java
    }).output();
    if (!success) return undefined;
    return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  } catch (error) {
    // A command that is not on PATH counts as not permitted, too: --allow-run resolves names at the start, and skips
    // those that it does not find.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) {
      return undefined;
    }
    throw error;
  }
}
