/**
 * Starts this project's own programs as processes, with the permissions of their tasks in `deno.json`. So the demo
 * and the tests run what users run.
 */

import { join } from "node:path";
import { spawnBoundToUs } from "./child_process.ts";

const PROJECT = join(import.meta.dirname ?? ".", "..");

export type ProgramName =
  | "producer"
  | "tracker"
  | "monitor"
  | "monitor:web"
  | "broker"
  | "demo"
  | "soak"
  | "torture"
  | "compile";

export interface Program {
  readonly pid: number;
  /** Resolves with the exit code; 128 + the signal's number if a signal ended it. */
  readonly exitCode: Promise<number>;
  readonly output: { readonly stdout: string; readonly stderr: string };
  /** Sends a signal; does nothing if the program has ended. */
  signal(signal: Deno.Signal): void;
}

export interface ProgramOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Default: this process's working directory. */
  readonly cwd?: string;
  readonly onLine?: (line: string, stream: "stdout" | "stderr") => void;
}

/**
 * Starts a program in its own session, so that Ctrl-C in a terminal does not reach it. If the system supports it, the
 * program ends with this one.
 */
export async function startProgram(
  name: ProgramName,
  args: readonly string[],
  { env = {}, cwd = Deno.cwd(), onLine = () => {} }: ProgramOptions = {},
): Promise<Program> {
  const taskArgs = await argsOfTask(name);
  const process = spawnBoundToUs(Deno.execPath(), {
    args: [...taskArgs, ...args],
    cwd,
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const output = { stdout: "", stderr: "" };
  const collect = async (stream: "stdout" | "stderr") => {
    let rest = "";
    for await (const text of process[stream].pipeThrough(new TextDecoderStream())) {
      output[stream] += text;
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) onLine(line, stream);
    }
    if (rest !== "") onLine(rest, stream);
  };
  const ended = Promise.all([process.status, collect("stdout"), collect("stderr")]);
  return {
    pid: process.pid,
    exitCode: ended.then(([status]) => status.code),
    output,
    signal(signal) {
      try {
        process.kill(signal);
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // it has ended
      }
    },
  };
}

/** Returns the arguments of `deno` in a task of `deno.json`, with an absolute script path. */
export async function argsOfTask(name: ProgramName): Promise<readonly string[]> {
  const { tasks } = JSON.parse(await Deno.readTextFile(join(PROJECT, "deno.json"))) as {
    readonly tasks: Readonly<Record<ProgramName, { readonly command: string }>>;
  };
  const [, ...args] = (tasks[name].command.split(" && ").at(-1) ?? "").split(" ");
  return args.map((arg) => arg.endsWith(".ts") ? join(PROJECT, arg) : arg);
}
