/**
 * A folder in which the project's tasks run and leave their files, as `deno task NAME` does in the project.
 */

import { join } from "node:path";

const PROJECT = join(import.meta.dirname ?? ".", "..");
const SCRIPT = /(?<=^| )(?=[\w/]+\.ts\b)/g;

/** Creates the folder; the caller removes it. */
export async function createTaskFolder(): Promise<string> {
  const { tasks } = JSON.parse(await Deno.readTextFile(join(PROJECT, "deno.json"))) as {
    readonly tasks: Readonly<Record<string, { readonly command: string }>>;
  };
  const folder = await Deno.makeTempDir({ prefix: "orderflow-tasks-" });
  const here = Object.entries(tasks)
    .map(([name, { command }]) => [name, command.replace(SCRIPT, `${PROJECT}/`)]);
  await Deno.writeTextFile(
    join(folder, "deno.json"),
    JSON.stringify({ tasks: Object.fromEntries(here) }),
  );
  return folder;
}
