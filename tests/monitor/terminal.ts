/** A real terminal for tests: tmux on its own server. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { argsOfTask } from "../../dev/programs.ts";
import { until } from "../site.ts";
import type { Logs } from "./logs.ts";

const PROJECT = join(import.meta.dirname ?? ".", "..", "..");
const SHOWN_WITHIN_MS = 60_000;
const SHELL_PROMPT = "before the program";

/** Returns why no terminal can be tested, or undefined if one can. */
export async function missingTerminal(): Promise<string | undefined> {
  try {
    await tmux("-V");
    return undefined;
  } catch {
    return "tmux is not installed";
  }
}

async function tmux(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("tmux", { args: [...args] }).output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

export interface TerminalOptions {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly columns: number;
  readonly rows: number;
  readonly env?: Readonly<Record<string, string>>;
}

export class Terminal implements AsyncDisposable {
  readonly #server: string;
  /** The program writes its process id here before it starts. */
  readonly #pidFile = Deno.makeTempFileSync({ prefix: "orderflow-terminal-" });

  private constructor(server: string) {
    this.#server = server;
  }

  /** Starts the program as a shell does: with text on the screen before it and its exit code after it. */
  static async start(
    { command, cwd, columns, rows, env = {} }: TerminalOptions,
  ): Promise<Terminal> {
    const terminal = new Terminal(`orderflow-${crypto.randomUUID().slice(0, 8)}`);
    const words = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
    const settings = Object.entries({ LANG: "C.UTF-8", ...env }).map(([name, value]) =>
      `${name}=${value}`
    );
    await terminal.#run(
      ...["-f", "/dev/null", "new-session", "-d", "-x", String(columns), "-y", String(rows)],
      ...["-c", cwd],
      // Without the trap, Ctrl-C would end the shell together with the program, and no exit code would be printed.
      `trap : INT; echo ${SHELL_PROMPT}; env -u NO_COLOR ${
        settings.join(" ")
      } sh -c 'echo $$ > "$0"; exec "$@"' '${terminal.#pidFile}' ${words}; code=$?; stty -a | grep -ow -e "-*icanon" -e "-*echo"; echo "exit code $code"; exec cat`,
    );
    return terminal;
  }

  async #run(...args: readonly string[]): Promise<string> {
    return await tmux("-L", this.#server, ...args);
  }

  /** Returns the visible rows as text. */
  async text(): Promise<string> {
    return await this.#run("capture-pane", "-p");
  }

  /** Returns the visible rows with colors as escape sequences. */
  async styledText(): Promise<string> {
    return await this.#run("capture-pane", "-p", "-e");
  }

  async title(): Promise<string> {
    return (await this.#run("display-message", "-p", "#{pane_title}")).trim();
  }

  /** Waits until the screen shows a text or pattern. The error contains the screen. */
  async shows(what: string | RegExp, withinMs = SHOWN_WITHIN_MS): Promise<string> {
    const fits = (text: string) => typeof what === "string" ? text.includes(what) : what.test(text);
    let text = "";
    try {
      await until(
        `the screen shows ${what}`,
        async () => fits(text = await this.text()),
        withinMs,
      );
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error}; it showed:\n${text}`);
    }
    return text;
  }

  /** Sends keys by their tmux names, anything else as characters. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.#run("send-keys", ...keys);
  }

  /** Sends bytes in one write, as a terminal would. */
  async sendBytes(...bytes: readonly number[]): Promise<void> {
    await this.#run("send-keys", "-H", ...bytes.map((byte) => byte.toString(16).padStart(2, "0")));
  }

  /** Pastes a text, bracketed if the program requested that. */
  async paste(text: string): Promise<void> {
    await this.#run("set-buffer", text);
    await this.#run("paste-buffer", "-p", "-r");
  }

  /** Returns the terminal's settings as printed by `stty -a`. */
  async settings(): Promise<string> {
    const tty = (await this.#run("display-message", "-p", "#{pane_tty}")).trim();
    const { stdout } = await new Deno.Command("sh", { args: ["-c", `stty -a < '${tty}'`] })
      .output();
    return new TextDecoder().decode(stdout);
  }

  /** Reports whether the program is stopped, for example by Ctrl-Z. */
  async isStopped(): Promise<boolean> {
    return (await processState(await Deno.readTextFile(this.#pidFile))).startsWith("T");
  }

  /** Returns a function that reports whether the program runs; it works after the terminal was closed too. */
  async processProbe(): Promise<() => Promise<boolean>> {
    const pid = await Deno.readTextFile(this.#pidFile);
    return async () => await processState(pid) !== "";
  }

  /** Closes the terminal, as if a person closed its window. */
  async close(): Promise<void> {
    await this.#run("kill-server").catch(() => {});
  }

  /** Records everything that the program writes from now on. */
  async record(path: string): Promise<void> {
    await this.#run("pipe-pane", "-O", `cat > '${path}'`);
  }

  /** Sends a signal to the program itself, like `kill` from another terminal. */
  async signal(signal: Deno.Signal): Promise<void> {
    Deno.kill(Number(await Deno.readTextFile(this.#pidFile)), signal);
  }

  /** Writes to the screen from another program, like `wall`. */
  async writeOver(text: string): Promise<void> {
    const tty = (await this.#run("display-message", "-p", "#{pane_tty}")).trim();
    // Through a shell, because Deno needs all permissions to write to a device.
    const args = ["-c", 'printf %s "$1" > "$2"', "sh", text, tty];
    const { success } = await new Deno.Command("sh", { args }).output();
    assert.ok(success, `cannot write to ${tty}`);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#run("resize-window", "-x", String(columns), "-y", String(rows));
  }

  /** Waits for the program to end and returns its exit code and the screen. */
  async left(): Promise<{ code: number; text: string }> {
    const text = await this.shows(/exit code \d+/);
    return { code: Number(/exit code (\d+)/.exec(text)?.[1]), text };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await Deno.remove(this.#pidFile);
  }
}

/** Returns the state printed by `ps`; empty if there is no such process. */
async function processState(pid: string): Promise<string> {
  const { stdout } = await new Deno.Command("ps", { args: ["-o", "stat=", "-p", pid.trim()] })
    .output();
  return new TextDecoder().decode(stdout).trim();
}

/** Reports whether the earlier text is back and the terminal echoes and buffers lines again. */
export function isRestored(text: string): boolean {
  return text.includes(SHELL_PROMPT) && /^icanon$/m.test(text) && /^echo$/m.test(text);
}

/** Reports whether the terminal echoes keys and buffers lines. */
export function isCooked(settings: string): boolean {
  return / icanon/.test(settings) && / echo /.test(settings);
}

const missing = await missingTerminal();

/** Registers a test that needs a terminal. It is skipped, with the reason, if there is none. */
export function terminalTest(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: missing === undefined ? name : `${name} (SKIPPED: ${missing})`,
    ignore: missing !== undefined,
    fn,
  });
}

export interface StartMonitorOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** A command that runs the monitor's command, which is passed as its last arguments. */
  readonly launcher?: readonly string[];
}

/** Starts the monitor like its task in `deno.json`, with the same permissions. */
export async function startMonitor(
  logs: Logs,
  { columns = 80, rows = 24, env = {}, launcher = [] }: StartMonitorOptions = {},
): Promise<Terminal> {
  // Variables that terminals and CI systems set and that a package may try to read.
  const surroundings = {
    TERM: "xterm-256color",
    COLORTERM: "truecolor",
    TERM_PROGRAM: "Apple_Terminal",
    CI: "true",
    GITHUB_ACTIONS: "true",
    TEAMCITY_VERSION: "2026.1",
    TF_BUILD: "True",
  };
  const command = [
    ...launcher,
    ...[Deno.execPath(), ...await argsOfTask("monitor")],
    ...["--logs", logs.path, "--interval", "100ms"],
  ];
  return await Terminal.start({
    command,
    cwd: PROJECT,
    columns,
    rows,
    env: { ...surroundings, ...env },
  });
}
