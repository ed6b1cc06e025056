import assert from "node:assert/strict";
import { join } from "node:path";
import { compileArgs } from "../../dev/compile.ts";

const PROJECT = join(import.meta.dirname ?? ".", "..", "..");
const { tasks, imports } = JSON.parse(Deno.readTextFileSync(join(PROJECT, "deno.json"))) as {
  readonly tasks: Readonly<
    Record<string, { readonly command: string; readonly description: string }>
  >;
  readonly imports: Readonly<Record<string, string>>;
};

/** The permissions of each program, with the reason if it is not obvious. */
const PERMISSIONS = {
  producer: [
    "--allow-net",
    "--allow-read=.", // --payload-file, --payload-module, and --config may be anywhere below the working directory
    "--allow-write=logs",
    "--allow-env=NODE_ENV,INIT_CWD,KAFKA_*,KAFKAJS_*", // kafkajs reads the first and the last; INIT_CWD is set by a task runner
  ],
  tracker: [
    "--allow-net",
    "--allow-read", // --logs may be anywhere
    "--allow-write",
    "--allow-env=NODE_ENV,INIT_CWD,KAFKA_*,KAFKAJS_*",
  ],
  monitor: [
    "--allow-read",
    // TERM and the locale determine the characters that the terminal can display.
    "--allow-env=TERM,LANG,LC_ALL,LC_CTYPE",
  ],
} as const;

/** The permissions of the tasks that run only from the checkout. */
const CHECKOUT_PERMISSIONS = {
  "monitor:web": [
    "--allow-net=127.0.0.1", // any port
    "--allow-read",
  ],
  broker: [
    "--allow-net",
    "--allow-read",
    "--allow-write", // --data may be anywhere
    "--allow-run=java,mvn,docker,setpriv",
    "--allow-env=KAFKA_BROKER",
  ],
  demo: [
    "--allow-net",
    "--allow-read",
    "--allow-write=.kafka,logs",
    "--allow-run", // --allow-run=deno does not cover launchers of Deno: see SECURITY.md
    "--allow-env=NODE_ENV,KAFKA_*,KAFKAJS_*,TERM,LANG,LC_ALL,LC_CTYPE",
  ],
  soak: [
    "--allow-net",
    "--allow-read",
    "--allow-write=.kafka,logs",
    "--allow-run",
    "--allow-env=NODE_ENV,KAFKA_*,KAFKAJS_*",
  ],
} as const;

for (const [name, expected] of Object.entries(CHECKOUT_PERMISSIONS)) {
  Deno.test(`deno task ${name} asks only for the permissions it needs`, () => {
    assert.deepEqual(
      permissionsIn(tasks[name]?.command.split(" && ").at(-1) ?? ""),
      [...expected].sort(),
    );
  });
}

function permissionsIn(command: string): readonly string[] {
  return command.split(" ").filter((word) => /^(-A$|--allow-)/.test(word)).sort();
}

for (const [name, expected] of Object.entries(PERMISSIONS)) {
  Deno.test(`${name} asks only for the permissions it needs, as a task, as a script, and compiled`, async () => {
    const sorted = [...expected].sort();
    const task = tasks[name]?.command ?? "";
    assert.deepEqual(permissionsIn(task), sorted);
    assert.ok(task.includes("--no-prompt"));
    const [shebang = ""] = Deno.readTextFileSync(join(PROJECT, `${name}.ts`)).split("\n");
    assert.deepEqual(permissionsIn(shebang), sorted);
    const compiled = await compileArgs(name as keyof typeof PERMISSIONS, {
      output: "dist",
      envFile: "commit",
    });
    assert.deepEqual(
      permissionsIn(compiled.join(" ")),
      sorted.map((each) => each.startsWith("--allow-env=") ? `${each},ORDERFLOW_COMMIT` : each),
    );
    assert.ok(compiled.includes("--no-prompt"));
  });
}

Deno.test("every script except the benchmarks has the same permissions in its task and in its first line", () => {
  let count = 0;
  for (const [name, { command }] of Object.entries(tasks)) {
    const [, path] = /deno run [^&]* (\S+\.ts)$/.exec(command) ?? [];
    if (path === undefined || name === "bench") continue;
    const [shebang = ""] = Deno.readTextFileSync(join(PROJECT, path)).split("\n");
    assert.deepEqual(
      permissionsIn(shebang),
      permissionsIn(command.split(" && ").at(-1) ?? ""),
      path,
    );
    assert.ok(command.includes("--no-prompt"), name);
    assert.ok(!permissionsIn(command).includes("-A"), name);
    count++;
  }
  assert.equal(count, 12);
});

Deno.test("each task has a one-line description", () => {
  for (const [name, { description }] of Object.entries(tasks)) {
    assert.match(description, /^[A-Z].{15,80}$/, name);
  }
});

Deno.test("every package is pinned exactly and listed in docs/dependencies.md", () => {
  const page = Deno.readTextFileSync(join(PROJECT, "docs", "dependencies.md"));
  const rows = page.split("\n").filter((line) => line.startsWith("| `"));
  for (const specifier of Object.values(imports)) {
    const [, name, version] = /^npm:\/?((?:@[^/]+\/)?[^@/]+)@(\d+\.\d+\.\d+)(?:\/.*)?$/
      .exec(specifier) ?? [];
    assert.ok(name !== undefined, `${specifier} is not pinned exactly`);
    assert.ok(
      rows.some((row) => row.includes(`\`${name}\` ${version}`)),
      `the page has no row for ${name} ${version}`,
    );
  }
});
