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

/** Per millisecond, approximately: too little for an answer of the usual size to arrive in time. */
const LINE_BYTES = 256;

/**
 * Goal: records can be read over a connection so slow that the usual answer takes longer than the request timeout.
 * Method: a topic of 1 MB, behind a proxy that passes some 200 kB per second.
 * Invariants: all records are journaled and committed; topic and journal are the same.
 */
Deno.test("over a slow connection, fetches ask for less until answers arrive in time", async () => {
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
