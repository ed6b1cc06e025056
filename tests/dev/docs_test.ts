import assert from "node:assert/strict";
import { dirname, join, relative } from "node:path";
import { argsOfTask, type ProgramName, startProgram } from "../../lib/dev/programs.ts";
import { liveBroker, uniqueName } from "../live_broker.ts";

const broker = await liveBroker();
const PROJECT = join(import.meta.dirname ?? ".", "..", "..");
/** A program that runs until it is stopped is stopped after so long. */
const RUN_MS = 4_000;

const PAGES = [
  ...["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"],
  ...[...Deno.readDirSync(join(PROJECT, "docs"))].map(({ name }) => `docs/${name}`)
    .filter((name) => name.endsWith(".md")),
].map((name) => ({ name, text: Deno.readTextFileSync(join(PROJECT, name)) }));

/** Lines of the page's shell blocks that call a task of ours, without their comments. */
function taskLines(text: string, before = ""): readonly (readonly string[])[] {
  return [...text.matchAll(new RegExp(`${before}\`\`\`sh\n(.*?)\`\`\``, "gs"))]
    .flatMap(([, block = ""]) => block.split("\n"))
    .map((line) => line.replace(/ +#.*| > .*| \| .*/, "").replace(/^.*?(?=deno task )/, ""))
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

Deno.test("every option that a page's command gives a program is one that it has", async () => {
  const programs = ["producer", "tracker", "monitor", "broker", "demo"] as const;
  const helps = new Map<string, string>();
  for (const name of programs) helps.set(name, await helpOf(name, []));
  for (const name of ["verify", "redrive"]) {
    helps.set(`tracker ${name}`, await helpOf("tracker", [name]));
  }
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
  assert.ok(count > 20, `${count} options were looked at`);
});

Deno.test("every message on the troubleshooting page is one that a program can say", () => {
  const sources = [...sourceTexts(join(PROJECT, "lib"))].join("\n");
  const page = Deno.readTextFileSync(join(PROJECT, "docs", "troubleshooting.md"));
  const messages = [...page.matchAll(/^\| `([^`]+)`/gm)].map(([, message]) => message ?? "");
  assert.ok(messages.length > 10);
  for (const message of messages) assert.ok(sources.includes(message), message);
});

function* sourceTexts(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* sourceTexts(path);
    else if (name.endsWith(".ts")) yield Deno.readTextFileSync(path);
  }
}

Deno.test("the commands that are marked for it run as they are written", async () => {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-docs-" });
  const topic = uniqueName("docs");
  const env = {
    KAFKA_BROKER: broker.address,
    KAFKA_TOPIC: topic,
    KAFKA_CONSUMER_GROUP: topic,
  };
  let count = 0;
  try {
    for (const { name: page, text } of PAGES) {
      for (const [name = "", ...args] of taskLines(text, "<!-- run -->\n+")) {
        const program = await startProgram(name as ProgramName, args, { cwd: folder, env });
        const timer = setTimeout(() => program.signal("SIGINT"), RUN_MS);
        const code = await program.exitCode;
        clearTimeout(timer);
        const { stdout, stderr } = program.output;
        assert.equal(code, 0, `${page}: ${name} ${args.join(" ")}\n${stdout}${stderr}`);
        count++;
      }
    }
    assert.ok(count >= 5, `${count} commands were run`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
