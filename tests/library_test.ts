import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const PROJECT = join(import.meta.dirname ?? ".", "..");
const CONFIG = join(PROJECT, "deno.json");

/** The schema types that `Order` is derived from are deliberately not exported. */
const DERIVED_FROM_SCHEMA = /public type 'Order' references private type '(ORDER_SCHEMA|Static)'/;

Deno.test("everything that mod.ts exports is documented, including the types that it refers to", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", "mod.ts"],
    cwd: PROJECT,
    env: { NO_COLOR: "1" },
    stdout: "null",
  }).output();
  const faults = new TextDecoder().decode(stderr).split("\n")
    .filter((line) => line.startsWith("error[") && !DERIVED_FROM_SCHEMA.test(line));
  assert.deepEqual(faults, []);
  assert.ok(code === 0 || code === 1);
});

Deno.test("mod.ts exports the public API", async () => {
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

/** Prints the properties of kafkajs's shared prototypes that importing mod.ts changes. */
const SHARED_WITH_OTHERS = `
const paths = ["network/connection", "network/requestQueue/index", "network/connectionPool",
  "consumer/consumerGroup", "protocol/encoder", "protocol/decoder", "broker/index", "cluster/index"];
const shared = [...await Promise.all(paths.map(async (path) =>
  (await import(\`kafkajs/src/\${path}.js\`)).default.prototype))];
const snapshot = () => shared.map((each) => Reflect.ownKeys(each).map((key) =>
  [key, Object.getOwnPropertyDescriptor(each, key)]));
const before = snapshot();
const mod = await import("${pathToFileURL(join(PROJECT, "mod.ts"))}");
const after = snapshot();
const differing = after.flatMap((properties, index) => properties
  .filter(([key, { get, value }], place) => {
    const known = before[index].find(([name]) => name === key)?.[1];
    return known === undefined || known.value !== value && get === undefined || known.get !== get;
  }).map(([key]) => String(key)));
console.log(JSON.stringify(differing), shared.length, Object.keys(mod).length > 0);
`;

Deno.test("importing mod.ts does not change kafkajs for other users in the same process", async () => {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-import-" });
  try {
    const path = join(folder, "import.ts");
    await Deno.writeTextFile(path, SHARED_WITH_OTHERS);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "-A", "--config", CONFIG, path],
      env: { NO_COLOR: "1" },
    }).output();
    const said = new TextDecoder().decode(stdout).trim();
    assert.equal(said, "[] 8 true", new TextDecoder().decode(stderr));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the example in each module's documentation runs and prints the documented output", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-example-" });
  const deno = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [...args],
      env: { NO_COLOR: "1" },
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    return stdout;
  };
  try {
    const paths = new Map(
      ["mod.ts", "lib/shop/shop.ts"].map((name, index) => [name, join(folder, `${index}.ts`)]),
    );
    for (const [name, path] of paths) {
      await Deno.writeTextFile(path, exampleOf(join(PROJECT, name)));
    }
    await t.step("types", async () => {
      await deno("check", "--config", CONFIG, ...paths.values());
    });
    const permissions = ["--no-prompt", "--allow-env", "--allow-read"];
    for (const [name, path] of paths) {
      await t.step(name, async () => {
        const output = await deno("run", "--no-check", ...permissions, "--config", CONFIG, path);
        assert.notEqual(output.length, 0);
      });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** Returns the module's first example, with absolute import paths. */
function exampleOf(path: string): string {
  const [, example] = /^ \* ```ts\n(.*?)^ \* ```/ms.exec(Deno.readTextFileSync(path)) ?? [];
  assert.ok(example !== undefined, `${path} has an example`);
  return example.replaceAll(/^ \* ?/gm, "").replaceAll(
    / from "(\.[^"]+)"/g,
    (_, specifier) => ` from "${pathToFileURL(join(dirname(path), specifier))}"`,
  );
}
