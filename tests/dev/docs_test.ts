import assert from "node:assert/strict";
import { dirname, join, relative } from "node:path";
import { argsOfTask, type ProgramName, startProgram } from "../../dev/programs.ts";
import { liveBroker, uniqueName } from "../live_broker.ts";
import { until } from "../site.ts";

const broker = await liveBroker();
const PROJECT = join(import.meta.dirname ?? ".", "..", "..");
/** Delay between the first output of a program that runs until stopped and its SIGINT. */
const RUN_MS = 4_000;
/** Only a program that hangs takes this long, even on a busy machine. */
const SCRIPT_SECONDS_MAX = 300;

const PAGES = [
  ...["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"],
  ...[...Deno.readDirSync(join(PROJECT, "docs"))].map(({ name }) => `docs/${name}`)
    .filter((name) => name.endsWith(".md")),
].map((name) => ({ name, text: Deno.readTextFileSync(join(PROJECT, name)) }));

/** Returns the lines of shell blocks that run one of our tasks, without comments. */
function taskLines(text: string): readonly (readonly string[])[] {
  return [...text.matchAll(/```sh\n(.*?)```/gs)]
    .flatMap(([, block = ""]) => block.split("\n"))
    .map((line) => line.replace(/ +#.*| > .*| \| .*| &$/, "").replace(/^.*?(?=deno task )/, ""))
    .filter((line) => line.startsWith("deno task "))
    .map((line) => line.replace("deno task ", "").trim().split(/\s+/));
}

async function helpOf(name: ProgramName, args: readonly string[]): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [...await argsOfTask(name), ...args, "--help"],
    env: { NO_COLOR: "1" },
  }).output();
  return new TextDecoder().decode(stdout);
}

Deno.test("every link between the pages leads to a file", () => {
  let count = 0;
  for (const { name, text } of PAGES) {
    for (const [, target = ""] of text.matchAll(/\]\((?!https?:)([^)#\s]+)/g)) {
      const path = join(PROJECT, dirname(name), target);
      assert.ok(Deno.statSync(path), `${name} links to ${relative(PROJECT, path)}`);
      count++;
    }
  }
  assert.ok(count > 10);
});

async function helpOfAll(): Promise<ReadonlyMap<string, string>> {
  const programs = [
    "producer",
    "tracker",
    "monitor",
    "monitor:web",
    "broker",
    "demo",
    "soak",
    "torture",
    "compile",
  ] as const;
  const commands: readonly (readonly [ProgramName, ...string[]])[] = [
    ...programs.map((name) => [name] as const),
    ["tracker", "verify"],
    ["tracker", "redrive"],
    ["tracker", "search"],
    ["tracker", "replay"],
  ];
  return new Map(
    await Promise.all(
      commands.map(async ([name, ...args]) =>
        [[name, ...args].join(" "), await helpOf(name, args)] as const
      ),
    ),
  );
}

const helps = await helpOfAll();

Deno.test("the reference names every option of every program", () => {
  const reference = Deno.readTextFileSync(join(PROJECT, "docs", "reference.md"));
  let count = 0;
  for (const [program, help] of helps) {
    for (const [, option = ""] of help.matchAll(/^ {2}(--[a-z-]+)/gm)) {
      assert.match(reference, new RegExp(`${option}\\b(?!-)`), `${program} ${option}`);
      count++;
    }
  }
  assert.ok(count > 50, `${count} options were checked`);
});

Deno.test("every option in a command on the pages exists", () => {
  let count = 0;
  for (const { name: page, text } of PAGES) {
    for (const [name = "", ...args] of taskLines(text)) {
      const program = helps.has(`${name} ${args[0]}`) ? `${name} ${args[0]}` : name;
      const help = helps.get(program);
      if (help === undefined) continue;
      for (const option of args.filter((arg) => arg.startsWith("--"))) {
        assert.ok(help.includes(` ${option.split("=")[0]}`), `${page}: ${program} ${option}`);
        count++;
      }
    }
  }
  assert.ok(count > 20, `${count} options were checked`);
});

Deno.test("every message on the troubleshooting page exists in the code", () => {
  const sources = [
    ...sourceTexts(join(PROJECT, "lib")),
    ...sourceTexts(join(PROJECT, "dev")),
    ...["producer.ts", "tracker.ts", "monitor.ts", "monitor_web.ts"].map((name) =>
      Deno.readTextFileSync(join(PROJECT, name))
    ),
  ].join("\n");
  const page = Deno.readTextFileSync(join(PROJECT, "docs", "troubleshooting.md"));
  const messages = [...page.matchAll(/^\| `([^`]+)`/gm)].map(([, message]) => message ?? "");
  assert.ok(messages.length > 25);
  for (const message of messages) assert.ok(sources.includes(message), message);
});

Deno.test("every guarantee names existing code that enforces it and an existing test that shows it", () => {
  const page = Deno.readTextFileSync(join(PROJECT, "docs", "guarantees.md"));
  const given = page.slice(0, page.indexOf("## What is not guaranteed"));
  const guarantees = given.split(/\n- (?=\*\*)/).slice(1);
  assert.ok(guarantees.length >= 10);
  for (const guarantee of guarantees) {
    const paths = [...guarantee.matchAll(/`((?:lib|tests)\/[^`]+)`/g)].map(([, path = ""]) => path);
    assert.ok(paths.some((path) => path.startsWith("lib/")), guarantee);
    assert.ok(paths.some((path) => /^tests\/.*_test\.ts$/.test(path)), guarantee);
  }
});

Deno.test("every code file that a page names exists", () => {
  let count = 0;
  for (const { name, text } of PAGES) {
    for (const [, path = ""] of text.matchAll(/`((?:lib|dev|tests|bench|deploy)\/[\w\/.]+)`/g)) {
      assert.ok(Deno.statSync(join(PROJECT, path)), `${name}: ${path}`);
      count++;
    }
  }
  assert.ok(count > 60, `${count} were checked`);
});

function* sourceTexts(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* sourceTexts(path);
    else if (name.endsWith(".ts")) yield Deno.readTextFileSync(path);
  }
}

/** The part of a page that is run: separate commands, or a block as one script with expected output. */
type Marked =
  | { readonly kind: "commands"; readonly commands: readonly (readonly string[])[] }
  | {
    readonly kind: "script";
    readonly script: string;
    readonly isShortened: boolean;
    readonly says: string;
  };

const MARK = /<!-- run( as a script)?(, shortened)?(?:, says: (.*?))? -->\n+(```sh\n(.*?)```)/gs;

function markedIn(text: string): readonly Marked[] {
  return [...text.matchAll(MARK)].map(
    ([, asScript, shortened, says = "", block = "", script = ""]) =>
      asScript === undefined
        ? { kind: "commands", commands: taskLines(block) }
        : { kind: "script", script, isShortened: shortened !== undefined, says },
  );
}

/** Reduces a load test to a second or two, on its own topics. */
function shortened(script: string, topic: string): string {
  return script
    .replaceAll(/(?<=--duration )\d+s/g, "2s")
    .replaceAll(/(?<=--warmup )\d+s/g, "1s")
    .replaceAll(/(?<=:)[1-9]\d*s(?=[, ])/g, "1s")
    .replaceAll(/\b(load-test|soak-test|codec-)/g, (name) => `${topic}-${name}`);
}

interface Place {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Options and commands that make a program end by itself. */
const ENDING = new Set([
  ...["--count", "--duration", "--ramp", "--exit-at-end", "--once", "--html"],
  ...["verify", "redrive", "search", "replay"],
]);

async function runCommand(
  [name = "", ...args]: readonly string[],
  { folder, env }: Place,
): Promise<Ended> {
  const program = await startProgram(name as ProgramName, args, { cwd: folder, env });
  let hasEnded = false;
  const ended = program.exitCode.finally(() => hasEnded = true);
  const isEnding = args.some((arg) => ENDING.has(arg.split("=")[0] ?? ""));
  if (!isEnding) {
    // Before the program listens for the signal, the signal would kill it.
    await until(
      "the program has started",
      () => hasEnded || program.output.stdout + program.output.stderr !== "",
      SCRIPT_SECONDS_MAX * 1_000,
    );
  }
  const timer = setTimeout(
    () => program.signal("SIGINT"),
    isEnding ? SCRIPT_SECONDS_MAX * 1_000 : RUN_MS,
  );
  const code = await ended;
  clearTimeout(timer);
  return { code, ...program.output };
}

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the script in bash, where `deno` uses this project's tasks and packages in any folder. */
async function runScript(script: string, { folder, env }: Place): Promise<Ended> {
  const bin = join(folder, "bin");
  await Deno.mkdir(bin, { recursive: true });
  await Deno.writeTextFile(join(bin, "deno"), await denoForAnyFolder(), { mode: 0o755 });
  const { code, stdout, stderr } = await new Deno.Command("timeout", {
    args: ["--kill-after=5", String(SCRIPT_SECONDS_MAX), "bash", "-eu", "-c", script],
    cwd: folder,
    env: { ...env, NO_COLOR: "1", PATH: `${bin}:${Deno.env.get("PATH")}` },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

async function denoForAnyFolder(): Promise<string> {
  const tasks = ["producer", "tracker", "monitor"] as const;
  const cases = await Promise.all(
    tasks.map(async (name) =>
      `  "task ${name}") shift 2; exec '${Deno.execPath()}' ${
        (await argsOfTask(name)).map((arg) => `'${arg}'`).join(" ")
      } "$@" ;;`
    ),
  );
  return [
    "#!/bin/sh",
    'case "$1 $2" in',
    ...cases,
    `  run*) shift; for arg; do shift; case "$arg" in *.ts) arg='${PROJECT}/'"$arg" ;; esac; set -- "$@" "$arg"; done`,
    `    exec '${Deno.execPath()}' run "$@" ;;`,
    `  eval*) shift; exec '${Deno.execPath()}' eval --config '${
      join(PROJECT, "deno.json")
    }' "$@" ;;`,
    '  *) echo "no task $2 for the pages" >&2; exit 64 ;;',
    "esac",
  ].join("\n");
}

Deno.test("the blocks marked on the pages run as written and print what the page says", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-docs-" });
  const topic = uniqueName("docs");
  const place = {
    folder,
    env: { KAFKA_BROKER: broker.address, KAFKA_TOPIC: topic, KAFKA_CONSUMER_GROUP: topic },
  };
  let commandCount = 0;
  let scriptCount = 0;
  try {
    // The tutorial counts the records of its topic, so the topic must be new.
    for (const { name: page, text } of PAGES.toSorted((a) => a.name === "docs/learn.md" ? -1 : 0)) {
      const marked = markedIn(text);
      if (marked.length === 0) continue;
      await t.step(page, async () => {
        for (const each of marked) {
          if (each.kind === "script") {
            const script = each.isShortened ? shortened(each.script, topic) : each.script;
            const { code, stdout, stderr } = await runScript(script, place);
            assert.equal(code, 0, `${page}:\n${script}\n${stdout}${stderr}`);
            assert.ok(stdout.includes(each.says), `${page}:\n${script}\n${stdout}${stderr}`);
            scriptCount++;
            continue;
          }
          for (const command of each.commands) {
            const { code, stdout, stderr } = await runCommand(command, place);
            assert.equal(code, 0, `${page}: ${command.join(" ")}\n${stdout}${stderr}`);
            commandCount++;
          }
        }
      });
    }
    assert.ok(
      commandCount >= 10 && scriptCount >= 8,
      `${commandCount} and ${scriptCount} were run`,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
