import assert from "node:assert/strict";
import { join } from "node:path";
import { freePort, LOOPBACK } from "../../dev/local_port.ts";
import { liveBroker, uniqueName } from "../live_broker.ts";
import { until } from "../site.ts";

const broker = await liveBroker();
const PROJECT = join(import.meta.dirname ?? ".", "..", "..");
const FLAGS = [
  "--no-prompt",
  "--allow-net",
  "--allow-read",
  "--allow-write",
  "--allow-env=NODE_ENV,KAFKA_*,KAFKAJS_*",
];

async function deno(
  args: readonly string[],
  cwd = PROJECT,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: [...args], cwd })
    .output();
  return {
    code,
    stdout: new TextDecoder().decode(stdout),
    stderr: new TextDecoder().decode(stderr),
  };
}

/** Asserts that the bundle contains the page and its script. */
async function assertServes(script: string, cwd: string): Promise<void> {
  const port = freePort();
  const serving = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--allow-net=127.0.0.1", "--allow-read"],
      ...[script, "--serve", String(port)],
    ],
    cwd,
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  try {
    const ask = async (path: string) =>
      await (await fetch(`http://${LOOPBACK}:${port}/${path}`)).text();
    await until("the page is served", () => ask("").then(() => true, () => false));
    for (const [, path = ""] of (await ask("")).matchAll(/(?:src|href)="(monitor\.\w+)"/g)) {
      assert.ok((await ask(path)).length > 1_000, path);
    }
    await until(
      "all lines are counted",
      async () => JSON.parse(await ask("api/figures")).figures.received === 600,
    );
  } finally {
    serving.kill("SIGTERM");
    assert.equal((await serving.status).code, 0);
  }
}

Deno.test("each program runs as a bundle from an empty folder, without the checkout", async () => {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-bundle-" });
  try {
    for (const name of ["producer", "tracker", "monitor", "monitor_web"]) {
      const bundled = await deno(["bundle", "--quiet", "--outdir", folder, `${name}.ts`]);
      assert.equal(bundled.code, 0, bundled.stderr);
    }
    const topic = uniqueName("bundle");
    const cluster = ["--broker", broker.address, "--topic", topic];
    const run = (name: string, args: readonly string[]) =>
      deno(["run", ...FLAGS, `${name}.js`, ...args], folder);

    const produced = await run("producer", [
      ...cluster,
      "--count",
      "600",
      "--rate",
      "max",
      "--json",
    ]);
    assert.equal(JSON.parse(produced.stdout).acknowledged, 600, produced.stderr);
    const own = ["--group", topic, "--dead-letters", `${topic}-dlq`];
    const tracked = await run("tracker", [...cluster, ...own, "--exit-at-end", "--json"]);
    assert.equal(JSON.parse(tracked.stdout).received, 600, tracked.stderr);
    const verified = await run("tracker", ["verify", ...cluster, "--json"]);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    const shown = await run("monitor", ["--once", "--json"]);
    assert.equal(JSON.parse(shown.stdout).received, 600, shown.stderr);
    await assertServes("monitor_web.js", folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const compiledFolder = await Deno.makeTempDir({ prefix: "orderflow-compile-" });
globalThis.addEventListener("unload", () => Deno.removeSync(compiledFolder, { recursive: true }));
const compiled = await deno([
  ...["run", "--no-prompt", "--allow-read", "--allow-write", "--allow-run", "dev/compile.ts"],
  ...["--output", compiledFolder],
]);
const isCompiled = compiled.code === 0;

Deno.test({
  name: "the compiled programs run and report their commit" +
    (isCompiled ? "" : " (SKIPPED: denort cannot be downloaded here)"),
  ignore: !isCompiled,
  fn: async () => {
    for (const name of ["producer", "tracker", "monitor"]) {
      const { code, stdout } = await new Deno.Command(join(compiledFolder, name), {
        args: ["--version"],
      }).output();
      assert.equal(code, 0);
      assert.match(new TextDecoder().decode(stdout), /commit [0-9a-f]{12}, Deno/);
    }
  },
});

Deno.test({
  name: "without denort, compile reports what is missing and what to do, in one line",
  ignore: isCompiled,
  fn: () => {
    assert.equal(compiled.code, 1);
    assert.match(compiled.stderr, /^error: Deno could not download denort, .*"deno bundle".*\n$/);
  },
});

Deno.test("compile rejects an unknown target and lists the known ones", async () => {
  const { code, stderr } = await deno([
    ...["run", "--no-prompt", "--allow-read", "--allow-write", "--allow-run", "dev/compile.ts"],
    ...["--output", compiledFolder, "--target", "commodore-64"],
  ]);
  assert.equal(code, 1);
  assert.match(stderr, /^error: invalid value 'commodore-64' .*aarch64-apple-darwin.*\n$/);
});

Deno.test("a program that was built with its commit reports it", async () => {
  const envFile = join(compiledFolder, "commit.env");
  await Deno.writeTextFile(envFile, "ORDERFLOW_COMMIT=0123456789ab\n");
  const { stdout } = await deno([
    ...["run", "--no-prompt", "--allow-env=ORDERFLOW_COMMIT,NODE_ENV", `--env-file=${envFile}`],
    ...["monitor.ts", "--version"],
  ]);
  assert.match(stdout, /\(commit 0123456789ab, Deno /);
});
