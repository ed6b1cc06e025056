/**
 * Code in a process of its own: test files run side by side in one process, which has one environment, one memory,
 * and one table of open files.
 *
 * @module
 */

import { join } from "node:path";

const PROJECT = join(import.meta.dirname ?? ".", "..");

/** Prepares TypeScript, a module whose relative imports begin at the project's folder. */
export function ownProcess(
  code: string,
  options: Omit<Deno.CommandOptions, "args" | "cwd"> = {},
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    ...options,
    args: ["eval", "--ext=ts", "--config", join(PROJECT, "deno.json"), code],
    cwd: PROJECT,
  });
}

/** Runs the code to its end and returns what it printed. */
export async function outputOfOwnProcess(code: string): Promise<string> {
  const { success, stdout, stderr } = await ownProcess(code).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}
