#!/usr/bin/env -S deno run --no-prompt --allow-read --allow-write --allow-run
/**
 * Mutation tests: removes one guard at a time from a copy of the code, and runs the tests that must then fail.
 *
 *     deno task mutate                              all of dev/mutations.json: hours
 *     deno task mutate lib/journal/journal.ts lib/kafka/
 *
 * A mutation is a named change of one place: `before`, which occurs once in `file`, becomes `after`. The exit code is
 * 1 if fewer than 90 % are killed, or if one no longer fits the code.
 */

import { join } from "node:path";
import { createCommand, EXIT_FAILURE, EXIT_OK, runProgram } from "../lib/cli/cli.ts";
import { printLine, styled } from "../lib/terminal.ts";

interface Mutation {
  readonly name: string;
  readonly file: string;
  readonly before: string;
  readonly after: string;
  readonly tests: readonly string[];
}

interface Outcome {
  readonly kind: "killed" | "survived" | "does not fit";
  readonly by?: string;
}

const PROJECT = join(import.meta.dirname ?? ".", "..");
const LEFT_OUT: ReadonlySet<string> = new Set([".git", ".kafka", "logs", "dist", "node_modules"]);
const KILLED_SHARE_MIN = 0.9;
/** A test that hangs has noticed the mutation, too. */
const TEST_TIMEOUT_MS = 240_000;

async function main(args: string[]): Promise<number> {
  const command = createCommand({
    name: "mutate",
    description: "Removes guards one at a time, and runs the tests that must then fail.",
  }).argument("[files...]", "run only mutations of files whose paths start with these").parse(
    args,
    {
      from: "user",
    },
  );
  const prefixes = command.args;
  const text = await Deno.readTextFile(join(PROJECT, "dev", "mutations.json"));
  const all: readonly Mutation[] = JSON.parse(text);
  const chosen = all.filter(({ file }) =>
    prefixes.length === 0 || prefixes.some((prefix) => file.startsWith(prefix))
  );
  const copy = await Deno.makeTempDir({ prefix: "orderflow-mutate-" });
  const counts = { killed: 0, survived: 0, "does not fit": 0 };
  try {
    await copyTree(PROJECT, copy);
    for (const [index, mutation] of chosen.entries()) {
      const { kind, by = "" } = await tryOut(mutation, copy);
      counts[kind]++;
      const place = `[${index + 1}/${chosen.length}] ${mutation.file}`;
      const color = kind === "killed" ? "green" : "red";
      printLine(`${place}: ${styled(kind, color)} ${by}`.trimEnd());
      if (kind !== "killed") {
        printLine(`    ${mutation.name}\n    - ${mutation.before}\n    + ${mutation.after}`);
      }
    }
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
  const { killed, survived } = counts;
  printLine(
    `${killed} killed, ${survived} survived, ${counts["does not fit"]} do not fit the code`,
  );
  const isEnough = killed >= KILLED_SHARE_MIN * (killed + survived);
  return isEnough && counts["does not fit"] === 0 ? EXIT_OK : EXIT_FAILURE;
}

async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory, isFile } of Deno.readDir(from)) {
    if (LEFT_OUT.has(name)) continue;
    if (isDirectory) await copyTree(join(from, name), join(to, name));
    if (isFile) await Deno.copyFile(join(from, name), join(to, name));
  }
}

async function tryOut({ file, before, after, tests }: Mutation, copy: string): Promise<Outcome> {
  const path = join(copy, file);
  const code = await Deno.readTextFile(path).catch(() => "");
  const parts = code.split(before);
  if (parts.length !== 2) return { kind: "does not fit" };
  await Deno.writeTextFile(path, parts.join(after));
  try {
    for (const test of tests) {
      if (!await passes(test, copy)) return { kind: "killed", by: `by ${test}` };
    }
    return { kind: "survived" };
  } finally {
    await Deno.writeTextFile(path, code);
  }
}

async function passes(test: string, cwd: string): Promise<boolean> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "--no-prompt", "--allow-all", "--no-check", "--fail-fast", "--quiet", test],
    cwd,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), TEST_TIMEOUT_MS);
  const { success } = await child.status;
  clearTimeout(timer);
  return success;
}

if (import.meta.main) await runProgram(main);
