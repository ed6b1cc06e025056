import assert from "node:assert/strict";
import { join } from "node:path";
import { startBrokerProcess } from "../dev/broker_process.ts";
import { onFreePorts } from "./on_free_ports.ts";

Deno.test("onFreePorts() tries other ports if one was taken in the meantime, and gives up eventually", async () => {
  const dataDir = join(Deno.makeTempDirSync({ prefix: "orderflow-ports-" }), "unused");
  const tried: number[] = [];
  // The test occupies a port itself, so that no other program can.
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const startOnTaken = async (port = 0) => {
    tried.push(port);
    await startBrokerProcess({ port: taken.addr.port, dataDir });
  };
  await onFreePorts(1, async ([port]) => tried.length < 2 ? await startOnTaken(port) : undefined);
  assert.equal(new Set(tried).size, 2);
  await assert.rejects(onFreePorts(1, ([port]) => startOnTaken(port)), /is in use by another/);
  await Deno.remove(join(dataDir, ".."), { recursive: true });
});
