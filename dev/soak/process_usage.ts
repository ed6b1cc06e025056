/**
 * Measures a running process with the system's own tools.
 *
 * Memory comes from `ps`, on Linux and macOS. Open handles come from `/proc`, on Linux. Uses commands, because Deno
 * allows reading `/proc` only with all permissions.
 */

export interface ProcessUsage {
  readonly residentMiB: number;
  /** Undefined if {@link COUNTS_HANDLES} is false. */
  readonly handles: number | undefined;
}

export const MEASURES_MEMORY = Deno.build.os === "linux" || Deno.build.os === "darwin";
export const COUNTS_HANDLES = Deno.build.os === "linux";

/** @returns undefined if the process has ended. */
export async function usageOf(pid: number): Promise<ProcessUsage | undefined> {
  const residentKiB = Number(await outputOf("ps", ["-o", "rss=", "-p", String(pid)]));
  if (!(residentKiB > 0)) return undefined;
  const handles = COUNTS_HANDLES ? await outputOf("ls", [`/proc/${pid}/fd`]) : undefined;
  if (handles === "") return undefined;
  return { residentMiB: residentKiB / 1024, handles: handles?.trimEnd().split("\n").length };
}

/** Returns an empty string if the command fails, as both do for an ended process. */
async function outputOf(command: string, args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(command, { args, stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}
