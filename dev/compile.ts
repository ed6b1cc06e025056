#!/usr/bin/env -S deno run --no-prompt --allow-read --allow-write --allow-run
/**
 * Builds `dist/producer`, `dist/tracker`, and `dist/monitor`: single files with the permissions of their tasks and
 * the commit that they were built from. `dist/NOTICES.txt` has the license notices of what they embed.
 *
 *     deno task compile
 *     deno task compile --target aarch64-apple-darwin
 */

import { join } from "node:path";
import { createCommand, Option, OPTION_GROUPS, runProgram } from "../lib/cli/cli.ts";
import { printLine } from "../lib/terminal.ts";
import { licenseNotices } from "./notices.ts";
import { argsOfTask } from "./programs.ts";
import { COMMIT_VARIABLE } from "../lib/version.ts";

const PROJECT = join(import.meta.dirname ?? ".", "..");
const PROGRAMS = ["producer", "tracker", "monitor"] as const;
const NOTICES_FILE = "NOTICES.txt";
type CompiledProgram = (typeof PROGRAMS)[number];

interface CompileOptions {
  readonly target?: string;
  readonly output: string;
}

async function main(args: string[]): Promise<void> {
  const { target, output } = createCommand({
    name: "compile",
    description: "Builds a standalone binary of each program, with the program's permissions.",
    examples: [
      ["deno task compile"],
      ["deno task compile --target aarch64-apple-darwin --output dist/mac"],
    ],
  })
    .optionsGroup(OPTION_GROUPS.output)
    .option(
      "--target <triple>",
      "system to build for, such as aarch64-apple-darwin (default: this one)",
    )
    .addOption(
      new Option("--output <folder>", "folder for the binaries").default(
        join(PROJECT, "dist"),
        "dist",
      ),
    )
    .parse(args, { from: "user" }).opts<CompileOptions>();
  await Deno.mkdir(output, { recursive: true });
  const envFile = await Deno.makeTempFile({ prefix: "orderflow-commit-" });
  try {
    await Deno.writeTextFile(envFile, `${COMMIT_VARIABLE}=${await currentCommit()}\n`);
    for (const name of PROGRAMS) {
      await compile(await compileArgs(name, { target, output, envFile }));
      printLine(join(output, name));
    }
    await Deno.writeTextFile(join(output, NOTICES_FILE), await licenseNotices());
    printLine(join(output, NOTICES_FILE));
  } finally {
    await Deno.remove(envFile);
  }
}

/** Converts the arguments of `deno` that run a program to those that compile it. */
export async function compileArgs(
  name: CompiledProgram,
  { target, output, envFile }: {
    readonly target?: string | undefined;
    readonly output: string;
    readonly envFile: string;
  },
): Promise<readonly string[]> {
  const [, ...args] = await argsOfTask(name);
  const permissions = args.slice(0, -1).map((permission) =>
    permission.startsWith("--allow-env=") ? `${permission},${COMMIT_VARIABLE}` : permission
  );
  return [
    "compile",
    "--quiet",
    "--exclude-unused-npm",
    ...permissions,
    `--env-file=${envFile}`,
    ...(target === undefined ? [] : ["--target", target]),
    ...["--output", join(output, name)],
    ...args.slice(-1),
  ];
}

async function compile(args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    env: { NO_COLOR: "1" },
  }).output();
  if (success) return;
  const said = new TextDecoder().decode(stderr);
  if (said.includes("denort")) {
    throw new Error(
      "Deno could not download denort, the runtime that it puts into a binary: it comes from Deno's own site, " +
        'which does not answer from here. Without it, "deno bundle" makes a program that runs where Deno is.',
    );
  }
  throw new Error(said.trim().split("\n\nStack backtrace")[0]?.replace(/^error: /, ""));
}

async function currentCommit(): Promise<string> {
  const { success, stdout } = await new Deno.Command("git", {
    args: ["rev-parse", "--short=12", "HEAD"],
    cwd: PROJECT,
    stderr: "null",
  }).output();
  return success ? new TextDecoder().decode(stdout).trim() : "unknown";
}

if (import.meta.main) await runProgram(main);
