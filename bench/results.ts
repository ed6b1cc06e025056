/**
 * Updates `bench/RESULTS.md`, which has one section per benchmark. Each run replaces its section.
 */

import { join } from "node:path";

const PATH = join(import.meta.dirname ?? ".", "RESULTS.md");
const TITLE =
  "# Results\n\nWritten by `deno task bench`; each section is from one run on the machine that it names.\n";

/** Writes a benchmark's section, with a description of the machine. */
export async function writeSection(name: string, markdown: string): Promise<void> {
  const begin = `<!-- ${name}: begin -->`;
  const end = `<!-- ${name}: end -->`;
  const section = `${begin}\n\n${markdown.trim()}\n\n${describeMachine()}\n\n${end}\n`;
  const text = await Deno.readTextFile(PATH).catch(() => TITLE);
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  const rest = from < 0
    ? [`${text.trimEnd()}\n\n`, ""]
    : [text.slice(0, from), text.slice(to + end.length + 1)];
  await Deno.writeTextFile(PATH, rest.join(section));
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", PATH] }).output();
}

function describeMachine(): string {
  const memoryGiB = Math.round(Deno.systemMemoryInfo().total / 2 ** 30);
  const date = new Date().toISOString().slice(0, 10);
  return `Run on ${date}: ${navigator.hardwareConcurrency} cores, ${memoryGiB} GiB, ${Deno.build.os} ` +
    `${Deno.build.arch}, Deno ${Deno.version.deno}; broker on the same machine.`;
}

/** Returns the median; of an even number of values, the upper of the two middle ones. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

/** Returns a Markdown table. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(header), line(header.map(() => "---")), ...rows.map(line)].join("\n");
}
