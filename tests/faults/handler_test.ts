import assert from "node:assert/strict";
import { join } from "node:path";
import { liveBroker } from "../live_broker.ts";
import { createSite, journaledRecord, type Site, until, visitJournal } from "../site.ts";
import {
  assertDeadLettersAreOf,
  assertSameRecords,
  fill,
  logged,
  nameOf,
  scaled,
  startFaultTracker,
  stopTracker,
  TEST_TIMEOUT_MS,
  untilAllCommitted,
} from "./fault_site.ts";
import { type Behavior, behaviorOf, HANDLER_POLICY, isGivenUp } from "./faulty_handler.ts";

const broker = await liveBroker();

const ORDER_COUNT = scaled({ long: 5_000, short: 300 });
/**
 * A fixed seed, because some orders are sent twice: with random ones, an order with a slow handler could be among
 * them.
 */
const FILLING = { count: ORDER_COUNT, badPercent: 3, args: ["--seed", "7"] };

function readCalls(path: string): ReadonlyMap<string, readonly number[]> {
  const calls = new Map<string, number[]>();
  for (const line of Deno.readTextFileSync(path).trimEnd().split("\n")) {
    const [name = "", attempt] = line.split(" ");
    calls.set(name, [...calls.get(name) ?? [], Number(attempt)]);
  }
  return calls;
}

/** Returns what the handler does with each good order of the journal, and the records that get a dead letter. */
async function expectedOf(site: Site, isBlocking: boolean): Promise<{
  readonly behaviors: ReadonlyMap<string, Behavior>;
  readonly letters: readonly string[];
}> {
  const behaviors = new Map<string, Behavior>();
  const letters: string[] = [];
  await visitJournal(site.logs, (line) => {
    const name = nameOf(journaledRecord(line));
    if (line["event_type"] !== "message.received") return void letters.push(name);
    const behavior = behaviorOf(JSON.parse(String(line["raw_message"])).sequence, isBlocking);
    behaviors.set(name, behavior);
    if (isGivenUp(behavior)) letters.push(name);
  });
  return { behaviors, letters };
}

/**
 * Goal: whatever a handler does wrong, its order ends handled or dead-lettered without affecting other orders, and a
 * slow handler does not cost the member its place in the group.
 * Method: depending on the order's sequence, the handler throws, fails permanently, hangs past its timeout, or
 * outlasts the session (2 s); there are some bad orders in between.
 * Invariants: topic and journal are the same; exactly the bad orders and those that were given up have a dead letter;
 * each order is handled as often as expected; one join; everything is committed.
 */
Deno.test("orders whose handler throws, gives up, hangs, or outlasts the session are handled or dead-lettered, and the member stays", async () => {
  await using site = await createSite({ broker: broker.address });
  const callsFile = join(site.folder, "calls");
  await fill(site, FILLING);
  using tracker = startFaultTracker(site, { handler: { callsFile, isBlocking: false } });
  await untilAllCommitted(site);
  await stopTracker(tracker);

  await assertSameRecords(site);
  const { behaviors, letters } = await expectedOf(site, false);
  await assertDeadLettersAreOf(site, letters);
  const calls = readCalls(callsFile);
  assert.equal(calls.size, behaviors.size);
  for (const [name, behavior] of behaviors) {
    const isRepeated = /each time|then succeeds/.test(behavior);
    const expected = isRepeated ? [1, HANDLER_POLICY.retryCount + 1] : [1];
    assert.deepEqual(calls.get(name), expected, `${name} ${behavior}`);
  }
  assert.equal(logged(site.logs, /Joined/).length, 1, "the member stayed in the group");
});

/**
 * Goal: a handler that blocks the event loop loses only its partitions.
 * Method: the handler blocks the thread, and therefore heartbeats, for longer than the session, once.
 * Invariants: the member rejoins, and the order is handed over again; topic and journal are the same; exactly the
 * records that need a dead letter have one; each order is handled; everything is committed.
 */
Deno.test("after a handler blocked the thread past the session, the member rejoins and the work is repeated", async () => {
  await using site = await createSite({ broker: broker.address });
  const callsFile = join(site.folder, "calls");
  await fill(site, FILLING);
  using tracker = startFaultTracker(site, { handler: { callsFile, isBlocking: true } });
  await until(
    "the member has rejoined",
    () => logged(site.logs, /Joined/).length > 1,
    TEST_TIMEOUT_MS,
  );
  await untilAllCommitted(site);
  await stopTracker(tracker);

  await assertSameRecords(site);
  const { behaviors, letters } = await expectedOf(site, true);
  await assertDeadLettersAreOf(site, letters);
  const calls = readCalls(callsFile);
  assert.deepEqual([...calls.keys()].sort(), [...behaviors.keys()].sort());
  const [blocked] = [...behaviors].find(([, behavior]) => /blocks/.test(behavior)) ?? [""];
  assert.ok((calls.get(blocked)?.length ?? 0) > 1, "the order that blocked was handed over again");
});
