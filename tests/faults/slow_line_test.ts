import assert from "node:assert/strict";
import { createSite } from "../site.ts";
import {
  assertSameRecords,
  brokerBehindProxy,
  fill,
  startFaultTracker,
  stopTracker,
  untilAllCommitted,
} from "./fault_site.ts";

/** In each millisecond, about: less than an answer of the usual size would need to come in time. */
const LINE_BYTES = 256;

/**
 * Goal: a line over which the usual answer takes longer than a request may is read over all the same.
 * Method: a topic of 1 MB, behind a proxy that lets some 200 kB a second through.
 * Invariants: all is journaled and committed; topic and journal are the same.
 */
Deno.test("a slow line: answers are asked for in smaller pieces, until they come in time", async () => {
  await using line = await brokerBehindProxy();
  const { proxy } = line;
  await using site = await createSite({ broker: proxy.address });
  await fill(site, { count: 900 });
  proxy.setMode({ kind: "slice", sliceBytes: LINE_BYTES });
  using tracker = startFaultTracker(site, { sessionTimeoutMs: 10_000 });
  await untilAllCommitted(site);
  await stopTracker(tracker);
  proxy.setMode({ kind: "pass" });
  assert.equal(await assertSameRecords(site), 900);
});
