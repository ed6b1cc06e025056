/**
 * Collects the license notices of the npm packages that the programs use, for the folder of the compiled programs. The
 * binaries embed each package whole, so the same texts are in them.
 */

import { join } from "node:path";

const PROJECT = join(import.meta.dirname ?? ".", "..");
/** Only compiles the kernel: no program imports it. */
const BUILD_ONLY = ["assemblyscript"];
const LICENSE_FILE = /^(licen[sc]e|notice|copying)(\.\w+)?$/i;
const RUNTIME =
  "The programs contain Deno (MIT license, https://github.com/denoland/deno/blob/main/LICENSE.md)\n" +
  "and V8 (BSD license, https://github.com/v8/v8/blob/main/LICENSE).";

interface Lock {
  readonly npm: Readonly<Record<string, { readonly dependencies?: readonly string[] }>>;
}

/**
 * Returns the notices of all packages, in the order of their names.
 *
 * @throws {Error} if a package is not in Deno's cache, or states no license.
 */
export async function licenseNotices(): Promise<string> {
  const cache = await npmCache();
  const packages = await embeddedPackages();
  const notices = await Promise.all(packages.map((each) => noticeOf(each, cache)));
  return `${[RUNTIME, ...notices].join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}

/** Returns `name@version` of the imported packages and all that they depend on. */
export async function embeddedPackages(): Promise<readonly string[]> {
  const lock: Lock = JSON.parse(await Deno.readTextFile(join(PROJECT, "deno.lock")));
  const { imports } = JSON.parse(await Deno.readTextFile(join(PROJECT, "deno.json")));
  const found = new Set<string>();
  const add = (id: string) => {
    if (found.has(id)) return;
    found.add(id);
    for (const name of lock.npm[id]?.dependencies ?? []) {
      // The lock file names a dependency's version only if there are several.
      const [dependency] = lock.npm[name] !== undefined
        ? [name]
        : Object.keys(lock.npm).filter((each) => nameOf(each) === name);
      if (dependency !== undefined) add(dependency);
    }
  };
  for (const id of Object.keys(lock.npm)) {
    const isImported = Object.values<string>(imports).some((it) => it.startsWith(`npm:${id}`));
    if (isImported && !BUILD_ONLY.includes(nameOf(id))) add(id);
  }
  return [...found].sort();
}

function nameOf(id: string): string {
  return id.slice(0, id.lastIndexOf("@"));
}

async function noticeOf(id: string, cache: string): Promise<string> {
  const folder = await folderOf(id, cache);
  const manifest = JSON.parse(await Deno.readTextFile(join(folder, "package.json")));
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name)
    .filter((name) => LICENSE_FILE.test(name)).sort();
  if (names.length === 0 && typeof manifest.license !== "string") {
    throw new Error(`${id} states no license`);
  }
  const texts = await Promise.all(names.map((name) => Deno.readTextFile(join(folder, name))));
  return [`${id}, license: ${manifest.license ?? "below"}`, ...texts.map((text) => text.trim())]
    .join("\n\n");
}

/** Returns the package's folder in Deno's cache, which has one folder per registry. */
async function folderOf(id: string, cache: string): Promise<string> {
  for await (const registry of Deno.readDir(cache)) {
    const folder = join(cache, registry.name, nameOf(id), id.slice(id.lastIndexOf("@") + 1));
    if (await Deno.stat(folder).then(() => true, () => false)) return folder;
  }
  throw new Error(`${id} is not in Deno's cache`);
}

async function npmCache(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  return JSON.parse(new TextDecoder().decode(stdout)).npmCache;
}
