/**
 * Runs code in a separate process, because test files run side by side in one process that has a single environment,
 * memory, and table of open files.
 */

import { join } from "node:path";

const PROJECT = join(import.meta.dirname ?? ".", "..");

/** Prepares a TypeScript module whose relative imports are resolved against the project's folder. */
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

export async function outputOfOwnProcess(code: string): Promise<string> {
  const { success, stdout, stderr } = await ownProcess(code).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}
