import assert from "node:assert/strict";
import { join } from "node:path";
import { compileArgs } from "../../dev/compile.ts";

const PROJECT = join(import.meta.dirname ?? ".", "..", "..");
/** The bytes that Deno writes before a binary's metadata, which is JSON. */
const METADATA_START = '{"argv":';
const CLIENT = ["kafkajs", "@platformatic/wasm-utils"];

const BINARIES = {
  producer: { packages: [...CLIENT, "@faker-js/faker"], notPackages: [], files: ["lib/shop"] },
  tracker: {
    packages: CLIENT,
    notPackages: ["@faker-js/faker"],
    files: ["lib/journal", "lib/verify", "lib/resend", "module.ts"],
  },
  monitor: {
    packages: ["commander"],
    notPackages: [...CLIENT, "@faker-js/faker", "@logtape/logtape"],
    files: ["lib/monitor"],
  },
} as const;

interface Embedded {
  /** Names of npm packages. */
  readonly packages: readonly string[];
  /** The listing of embedded files that `deno compile` prints. */
  readonly listing: string;
  readonly permissions: Readonly<Record<string, unknown>>;
}

/**
 * Builds a program's binary. Deno's own binary replaces its runtime, denort, which cannot be downloaded everywhere.
 * The result embeds the same files but does not start.
 */
async function build(name: keyof typeof BINARIES, folder: string): Promise<Embedded> {
  const output = join(folder, name);
  const envFile = join(folder, "env");
  await Deno.writeTextFile(envFile, "");
  const args = await compileArgs(name, { output: folder, envFile });
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: args.filter((arg) => arg !== "--quiet"),
    cwd: PROJECT,
    env: { DENORT_BIN: Deno.execPath(), NO_COLOR: "1" },
  }).output();
  const listing = new TextDecoder().decode(stderr);
  assert.ok(success, listing);
  const binary = new TextDecoder("latin1").decode(await Deno.readFile(output));
  const metadata = binary.slice(binary.lastIndexOf(METADATA_START));
  await Deno.remove(output);
  return {
    packages: packagesIn(listing),
    listing,
    permissions: JSON.parse(/"permissions":(\{[^}]*\})/.exec(metadata)?.[1] ?? "null"),
  };
}

/** Parses the packages in a tree such as `├─┬ @logtape (1 MB)`, `│ ├── file/* (2 kB)`, `├── kafkajs/2.2.4/* (3 kB)`. */
function packagesIn(listing: string): readonly string[] {
  let scope = "";
  return listing.split("\n").flatMap((line) => {
    const name = /[─┬] (\S+)/.exec(line)?.[1] ?? "";
    if (/^@[^/]+$/.test(name)) scope = name;
    const [first = "", second = ""] = name.split("/");
    if (second === "") return [];
    if (first.startsWith("@")) return [`${first}/${second}`];
    return [first, `${scope}/${first}`];
  });
}

Deno.test("a compiled program embeds only its imports and asks for the permissions of its task", async () => {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-compile-" });
  try {
    for (const name of ["producer", "tracker", "monitor"] as const) {
      const { packages, listing, permissions } = await build(name, folder);
      for (const each of BINARIES[name].packages) {
        assert.ok(packages.includes(each), `${name}: ${each}`);
      }
      for (const each of BINARIES[name].notPackages) {
        assert.ok(!packages.includes(each), `${name} embeds ${each}`);
      }
      for (const each of BINARIES[name].files) {
        assert.ok(listing.includes(each.split("/").at(-1) ?? each), `${name}: ${each}`);
      }
      assert.equal(permissions["allow_run"], null, name);
      assert.equal(permissions["prompt"], false, name);
      assert.deepEqual(permissions["allow_net"], name === "monitor" ? null : [], name);
      const write = { producer: ["logs"], tracker: [], monitor: null }[name];
      assert.deepEqual(permissions["allow_write"], write, name);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
