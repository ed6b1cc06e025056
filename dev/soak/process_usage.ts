/**
 * What a running process holds, as this system's own tools say it.
 *
 * Memory is what `ps` says, on Linux and macOS. Open handles are what `/proc` lists, on Linux. Through
 * commands, because Deno lets only a program that may do everything read `/proc`.
 *
 * @module
 */

export interface ProcessUsage {
  readonly residentMiB: number;
  /** Undefined where {@link COUNTS_HANDLES} is false. */
  readonly handles: number | undefined;
}

export const MEASURES_MEMORY = Deno.build.os === "linux" || Deno.build.os === "darwin";
export const COUNTS_HANDLES = Deno.build.os === "linux";

/** @returns undefined where the process has ended. */
export async function usageOf(pid: number): Promise<ProcessUsage | undefined> {
  const residentKiB = Number(await outputOf("ps", ["-o", "rss=", "-p", String(pid)]));
  if (!(residentKiB > 0)) return undefined;
  const handles = COUNTS_HANDLES ? await outputOf("ls", [`/proc/${pid}/fd`]) : undefined;
  if (handles === "") return undefined;
  return { residentMiB: residentKiB / 1024, handles: handles?.trimEnd().split("\n").length };
}

/** Empty where the command fails: of a process that has ended these two say nothing else. */
async function outputOf(command: string, args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(command, { args, stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}
