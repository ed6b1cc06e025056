/**
 * A broker for the tests of one process. `deno test` runs each file in a thread that ends with the file, and a
 * process that a thread has started can end with it. Therefore this is a program: it starts the broker, prints its
 * address, and stops it when the process that started it is gone.
 *
 *     deno run --allow-all tests/shared_broker.ts
 */

import { startBrokerProcess } from "../dev/broker_process.ts";
import { deleteSync, killSync } from "./live_broker.ts";
import { onFreePorts } from "./on_free_ports.ts";

const WATCH_MS = 200;
/** Allows short session timeouts: a test that kills a tracker would otherwise wait 6 s for its partitions. */
const SETTINGS = { "group.min.session.timeout.ms": "500" } as const;

const parent = Deno.ppid;
const dataDir = await Deno.makeTempDir({ prefix: "orderflow-broker-" });
const broker = await onFreePorts(
  1,
  ([port = 0]) => startBrokerProcess({ port, dataDir, quickStart: true, settings: SETTINGS }),
).catch((error) => {
  deleteSync(dataDir);
  throw error;
});
globalThis.addEventListener("unload", () => {
  killSync(broker.pid);
  deleteSync(dataDir);
});
broker.exited.then(() => Deno.exit(1));
setInterval(() => {
  if (Deno.ppid !== parent) Deno.exit();
}, WATCH_MS);
await Deno.stdout.write(new TextEncoder().encode(`${broker.address}\n`));
