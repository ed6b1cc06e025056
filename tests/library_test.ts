import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const PROJECT = join(import.meta.dirname ?? ".", "..");
const CONFIG = join(PROJECT, "deno.json");

Deno.test("everything that mod.ts exports is documented, with the types that it names", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", "mod.ts"],
    cwd: PROJECT,
    env: { NO_COLOR: "1" },
    stdout: "null",
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
});

Deno.test("mod.ts exports what others build on", async () => {
  const exported = Object.keys(await import("../mod.ts"));
  for (
    const name of [
      "createShop",
      "validateOrder",
      "ReliableProducer",
      "openTracker",
      "decodeEvent",
      "readJournal",
      "FolderMonitor",
      "verifyTopic",
    ]
  ) {
    assert.ok(exported.includes(name), name);
  }
});

Deno.test("the example in a module's documentation runs, and prints what it says", async (t) => {
  for (const name of ["mod.ts", "lib/shop.ts"]) {
    await t.step(name, async () => {
      const folder = await Deno.makeTempDir({ prefix: "orderflow-example-" });
      try {
        const path = join(folder, "example.ts");
        await Deno.writeTextFile(path, exampleOf(join(PROJECT, name)));
        const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
          args: [
            "run",
            "--check",
            "--no-prompt",
            "--allow-env",
            "--allow-read",
            "--config",
            CONFIG,
            path,
          ],
          env: { NO_COLOR: "1" },
        }).output();
        assert.equal(code, 0, new TextDecoder().decode(stderr));
        assert.notEqual(stdout.length, 0);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    });
  }
});

/** The module's first example, its imports made whole. */
function exampleOf(path: string): string {
  const [, example] = /^ \* ```ts\n(.*?)^ \* ```/ms.exec(Deno.readTextFileSync(path)) ?? [];
  assert.ok(example !== undefined, `${path} has an example`);
  return example.replaceAll(/^ \* ?/gm, "").replaceAll(
    / from "(\.[^"]+)"/g,
    (_, specifier) => ` from "${pathToFileURL(join(dirname(path), specifier))}"`,
  );
}
