import assert from "node:assert/strict";
import { join } from "node:path";

const PROJECT = join(import.meta.dirname ?? ".", "..");

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
      "verifyTopic",
    ]
  ) {
    assert.ok(exported.includes(name), name);
  }
});
