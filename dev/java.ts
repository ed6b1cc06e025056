/**
 * The Java and the Maven of this machine, as far as the development broker needs them.
 *
 * @module
 */

/** The oldest Java that Kafka 4 runs on. */
export const JAVA_VERSION_MIN = 17;

/** The major version of the `java` on PATH, or undefined where there is none. */
export async function javaVersion(): Promise<number | undefined> {
  const output = await firstOutput("java", ["-version"]);
  // Since Java 9 "17.0.15" or "21-ea"; before it "1.8.0_402".
  const [, major, minor] = /version "(\d+)(?:\.(\d+))?/.exec(output ?? "") ?? [];
  if (major === undefined) return undefined;
  return major === "1" ? Number(minor) : Number(major);
}

/** Whether there is a Maven on PATH that starts. */
export async function hasMaven(): Promise<boolean> {
  return await firstOutput("mvn", ["--version"]) !== undefined;
}

/** What the command prints on both outputs, or undefined where it is missing or fails. */
async function firstOutput(command: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const { success, stdout, stderr } = await new Deno.Command(command, {
      args: [...args],
      stdin: "null",
      detached: true, // Ctrl-C would make an answer of it: that there is no Java
    }).output();
    if (!success) return undefined;
    return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  } catch (error) {
    // A command that is not on PATH counts as not permitted, too: --allow-run resolves names at the
    // start, and leaves out those that it doesn't find.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) {
      return undefined;
    }
    throw error;
  }
}
