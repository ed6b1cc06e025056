import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { buildKernel } from "../../dev/kernel.ts";
import { KERNEL_BASE64 } from "../../lib/kernel/module.ts";

Deno.test("lib/kernel/module.ts is compiled from its current source (otherwise run: deno task kernel)", async () => {
  const built = Buffer.from(await buildKernel()).toString("base64");
  assert.ok(built === KERNEL_BASE64);
});
