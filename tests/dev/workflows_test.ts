import assert from "node:assert/strict";
import { join } from "node:path";

const PROJECT = join(import.meta.dirname ?? ".", "..", "..");
const FOLDER = join(PROJECT, ".github", "workflows");
const WORKFLOWS = [...Deno.readDirSync(FOLDER)].map(({ name }) => ({
  name,
  text: Deno.readTextFileSync(join(FOLDER, name)),
}));
const { tasks } = JSON.parse(Deno.readTextFileSync(join(PROJECT, "deno.json")));

const actionlint = await version("actionlint");

async function version(command: string): Promise<string | undefined> {
  try {
    const { stdout } = await new Deno.Command(command, { args: ["-version"] }).output();
    return new TextDecoder().decode(stdout);
  } catch {
    return undefined;
  }
}

Deno.test({
  name: "actionlint reports no problem in the workflows" +
    (actionlint === undefined ? " (SKIPPED: actionlint is not installed)" : ""),
  ignore: actionlint === undefined,
  async fn() {
    const { code, stdout } = await new Deno.Command("actionlint", {
      args: ["-no-color", ...WORKFLOWS.map(({ name }) => join(FOLDER, name))],
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stdout));
  },
});

Deno.test("the workflows use the README's Deno version and existing tasks and tests", () => {
  const [, readme] = /npx -y deno@([\d.]+) task test/
    .exec(Deno.readTextFileSync(join(PROJECT, "README.md"))) ?? [];
  let count = 0;
  for (const { name, text } of WORKFLOWS) {
    for (const [, found] of text.matchAll(/deno-version: (\S+)/g)) {
      assert.equal(found, readme, name);
      count++;
    }
    for (const [, task = ""] of text.matchAll(/deno task (\S+)/g)) {
      assert.ok(task in tasks, `${name}: ${task}`);
      count++;
    }
    for (const [path] of text.matchAll(/(?<= )(tests\/\S+|\w+\.ts\b)/g)) {
      assert.ok(Deno.statSync(join(PROJECT, path)), `${name}: ${path}`);
      count++;
    }
  }
  assert.ok(count >= 10, `${count} were checked`);
});

Deno.test("a release has binaries for Linux, macOS, and Windows that are tested before they are attached", () => {
  const { text } = WORKFLOWS.find(({ name }) => name === "release.yml") ?? { text: "" };
  for (const system of ["linux-x86_64", "linux-aarch64", "macos-aarch64", "windows-x86_64"]) {
    assert.ok(text.includes(`name: ${system}`), system);
  }
  const order = ["deno task compile", "--version", "SHA-256", "gh release upload"]
    .map((step) => text.indexOf(step));
  assert.deepEqual(order, order.toSorted((a, b) => a - b));
  assert.ok(!order.includes(-1));
});
