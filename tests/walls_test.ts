import assert from "node:assert/strict";
import { join, relative } from "node:path";

const PROJECT = join(import.meta.dirname ?? ".", "..");

interface Module {
  readonly path: string;
  readonly text: string;
  /** Its imports at run time, without type-only imports. */
  readonly imports: readonly string[];
}

function* sourceFiles(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* sourceFiles(path);
    else if (name.endsWith(".ts") || name.endsWith(".tsx")) yield path;
  }
}

function readModule(path: string): Module {
  const text = Deno.readTextFileSync(path);
  const statements = text.matchAll(/^(?:import|export)\s+(?!type\b)[^;]*?from\s+"([^"]+)"/gms);
  const dynamic = text.matchAll(/\bimport\(\s*"([^"]+)"/g);
  return {
    path: relative(PROJECT, path),
    text,
    imports: [...statements, ...dynamic].map(([, specifier]) => specifier ?? ""),
  };
}

const MODULES = [
  ...[...sourceFiles(join(PROJECT, "lib"))],
  ...["mod.ts", "producer.ts", "tracker.ts", "monitor.ts", "monitor_web.ts"].map((name) =>
    join(PROJECT, name)
  ),
].map(readModule);

/** Returns every module that a module imports directly or indirectly, within the project. */
function reachable(entry: string): Set<string> {
  const byPath = new Map(MODULES.map((module) => [module.path, module]));
  const seen = new Set<string>();
  const queue = [entry];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    for (const specifier of byPath.get(path)?.imports ?? []) {
      queue.push(specifier.startsWith(".") ? join(path, "..", specifier) : specifier);
    }
  }
  return seen;
}

Deno.test("only lib/kafka/ imports the Kafka client or mentions the names of its errors", () => {
  for (const { path, text } of MODULES) {
    if (path.startsWith("lib/kafka/")) continue;
    assert.doesNotMatch(text, /from "kafkajs|"KafkaJS|"KAFKAJS_/, path);
  }
  assert.ok(MODULES.some(({ text }) => /from "kafkajs/.test(text)), "the test sees imports");
});

Deno.test("only lib/kafka/ imports lib/kafka/kafkajs/", () => {
  const importers = MODULES.filter(({ path, text }) =>
    [...text.matchAll(/\bfrom "(\.[^"]+)"/g)].some(([, specifier = ""]) =>
      join(path, "..", specifier).startsWith("lib/kafka/kafkajs/")
    )
  ).map(({ path }) => path);
  assert.deepEqual(importers.filter((path) => !path.startsWith("lib/kafka/")), []);
  assert.ok(importers.includes("lib/kafka/client.ts"), "the test sees imports");
});

Deno.test("the monitor and its page import nothing that depends on Kafka", () => {
  for (const entry of ["monitor.ts", "monitor_web.ts"]) {
    const pulled = [...reachable(entry)];
    assert.ok(pulled.includes("lib/monitor/model/read_model.ts"), "the test follows imports");
    assert.deepEqual(
      pulled.filter((path) => path.startsWith("lib/kafka/") || path.startsWith("kafkajs")),
      [],
    );
  }
});

Deno.test("the monitor imports nothing that listens on a port", () => {
  const listeners = MODULES.filter(({ text }) => /\bDeno\.(listen|serve)\b/.test(text))
    .map(({ path }) => path);
  assert.ok(listeners.includes("lib/monitor/web/server.ts"), "the test sees the imports");
  const pulled = reachable("monitor.ts");
  assert.deepEqual(listeners.filter((path) => pulled.has(path)), []);
});

Deno.test("the monitor's folders depend on each other in one direction: tail, model, views, then screen or web", () => {
  const order = ["tail", "model", "views", "screen", "web"];
  let count = 0;
  for (const { path, imports } of MODULES) {
    const [, folder = ""] = /^lib\/monitor\/(\w+)\//.exec(path) ?? [];
    for (const specifier of imports) {
      const target = join(path, "..", specifier);
      const [, imported] = /^lib\/monitor\/(\w+)(?:\/|\.ts$)/.exec(target) ?? [];
      if (folder === "" || imported === undefined || imported === folder) continue;
      // This module combines the folders, so none of them may import it.
      assert.notEqual(imported, "follow", path);
      if (!order.includes(imported)) continue;
      assert.ok(order.indexOf(imported) < order.indexOf(folder), `${path} imports ${specifier}`);
      assert.notEqual(imported, "screen", path);
      count++;
    }
  }
  assert.ok(count > 10, "the test sees imports");
});

Deno.test("no file has more than 400 lines", () => {
  for (const { path, text } of MODULES) {
    const count = text.split("\n").length - 1;
    assert.ok(count <= 400, `${path} has ${count} lines`);
  }
});

Deno.test("no folder of lib/ depends on itself through other folders", () => {
  const folders = new Map<string, Set<string>>();
  for (const { path, imports } of MODULES) {
    const folder = join(path, "..");
    const imported = folders.get(folder) ?? new Set();
    for (const specifier of imports.filter((each) => each.startsWith("."))) {
      const other = join(folder, specifier, "..");
      if (other !== folder && other.startsWith("lib")) imported.add(other);
    }
    folders.set(folder, imported);
  }
  const reach = (from: string, seen = new Set<string>()): Set<string> => {
    for (const other of folders.get(from) ?? []) {
      if (seen.has(other)) continue;
      seen.add(other);
      reach(other, seen);
    }
    return seen;
  };
  const cyclic = [...folders.keys()].filter((folder) => reach(folder).has(folder));
  assert.deepEqual(cyclic, []);
  assert.ok(reach("lib/tracker").has("lib/kafka/protocol"), "the test follows imports");
});

/** The rooms that each room may import; rooms that are not listed may import anything. */
const WALLS: Readonly<Record<string, readonly string[]>> = {
  "lib/kernel": [],
  "lib/order": ["lib/kernel"],
  "lib/shop": ["lib/order"],
  "lib/kafka": ["lib/kernel"],
  "lib/journal": [],
  "lib/html": [],
  "lib/monitor": ["lib/html", "lib/journal", "lib/order"],
  "lib/producer": ["lib/cli", "lib/html", "lib/kafka", "lib/order", "lib/shop"],
  "lib/tracker": ["lib/cli", "lib/journal", "lib/kafka", "lib/kernel", "lib/order"],
  "lib/search": ["lib/cli", "lib/journal"],
  "lib/cli": ["lib/kafka"],
};

Deno.test("each room imports only the rooms that it may, besides the files that all share", () => {
  let count = 0;
  for (const { path, imports } of MODULES) {
    const [room = ""] = /^lib\/\w+(?=\/)/.exec(path) ?? [];
    const allowed = WALLS[room];
    if (allowed === undefined) continue;
    for (const specifier of imports.filter((each) => each.startsWith("."))) {
      const [other] = /^lib\/\w+(?=\/)/.exec(join(path, "..", specifier)) ?? [];
      if (other === undefined || other === room) continue;
      assert.ok(allowed.includes(other), `${path} imports ${specifier}`);
      count++;
    }
  }
  assert.ok(count > 20, "the test sees imports");
});

Deno.test("only tracker.ts imports lib/resend/", () => {
  const importers = MODULES.filter(({ path, imports }) =>
    imports.some((specifier) => join(path, "..", specifier).startsWith("lib/resend/")) &&
    !path.startsWith("lib/resend/")
  );
  assert.deepEqual(importers.map(({ path }) => path), ["tracker.ts"]);
});

Deno.test("lib/order/ and lib/shop/ do not depend on Kafka", () => {
  for (const entry of ["lib/order/validate.ts", "lib/shop/shop.ts"]) {
    const pulled = [...reachable(entry)];
    assert.deepEqual(
      pulled.filter((path) => path.startsWith("lib/kafka/") || path.startsWith("kafkajs")),
      [],
    );
  }
});

Deno.test("lib/ writes to the terminal only through lib/terminal.ts", () => {
  for (const { path, text } of MODULES) {
    if (path === "lib/terminal.ts") continue;
    assert.doesNotMatch(text, /^(?! \*).*(\bconsole\.|Deno\.(stdout|stderr)\.write)/m, path);
  }
});

Deno.test("entry scripts have at most 200 lines", () => {
  for (const { path, text } of MODULES) {
    if (path.includes("/")) continue;
    assert.ok(text.split("\n").length <= 200, `${path} has ${text.split("\n").length} lines`);
  }
});

Deno.test("the end of a problem is logged at the same level as the problem, so that --quiet shows both", () => {
  const recovery = /\blog\.info\(\s*"[^"]*(?:\bagain\b|\bany more\b|has ended\b)/;
  for (const { path, text } of MODULES) assert.doesNotMatch(text, recovery, path);
});
