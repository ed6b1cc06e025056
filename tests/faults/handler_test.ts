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
  PATIENCE_MS,
  scaled,
  startFaultTracker,
  stopTracker,
  untilAllCommitted,
} from "./fault_site.ts";
import { type Deed, deedOf, HANDLER_POLICY, isGivenUp } from "./faulty_handler.ts";

const broker = await liveBroker();

const ORDER_COUNT = scaled({ long: 5_000, short: 300 });
/** Some orders are sent again as they were: chosen anew each time, one that takes long could be among them. */
const FILLING = { count: ORDER_COUNT, badPercent: 3, args: ["--seed", "7"] };

/** The attempts of each record's calls, in the order of the calls. */
function readCalls(path: string): ReadonlyMap<string, readonly number[]> {
  const calls = new Map<string, number[]>();
  for (const line of Deno.readTextFileSync(path).trimEnd().split("\n")) {
    const [name = "", attempt] = line.split(" ");
    calls.set(name, [...calls.get(name) ?? [], Number(attempt)]);
  }
  return calls;
}

/** What the handler does with each good order of the journal, and the records that get a dead letter. */
async function expectedOf(site: Site, isBlocking: boolean): Promise<{
  readonly deeds: ReadonlyMap<string, Deed>;
  readonly letters: readonly string[];
}> {
  const deeds = new Map<string, Deed>();
  const letters: string[] = [];
  await visitJournal(site.logs, (line) => {
    const name = nameOf(journaledRecord(line));
    if (line["event_type"] !== "message.received") return void letters.push(name);
    const deed = deedOf(JSON.parse(String(line["raw_message"])).sequence, isBlocking);
    deeds.set(name, deed);
    if (isGivenUp(deed)) letters.push(name);
  });
  return { deeds, letters };
}

/**
 * Goal: whatever a handler does wrong, its order ends handled or dead-lettered and costs no other order
 * anything; and one that takes long does not cost the member its place in the group.
 * Method: a handler that throws, throws for good, hangs past its timeout, and outlasts the session (2 s),
 * by the order's sequence; some bad orders between.
 * Invariants: topic and journal are the same; a dead letter exactly of each bad order and of each one given
 * up; each order called as often as its deed asks for; one join; all committed.
 */
Deno.test("a handler that throws, gives up, hangs or outlasts the session: handled or dead-lettered, the member stays", async () => {
  await using site = await createSite({ broker: broker.address });
  const callsFile = join(site.folder, "calls");
  await fill(site, FILLING);
  using tracker = startFaultTracker(site, { handler: { callsFile, isBlocking: false } });
  await untilAllCommitted(site);
  await stopTracker(tracker);

  await assertSameRecords(site);
  const { deeds, letters } = await expectedOf(site, false);
  await assertDeadLettersAreOf(site, letters);
  const calls = readCalls(callsFile);
  assert.equal(calls.size, deeds.size);
  for (const [name, deed] of deeds) {
    const isRepeated = /each time|then succeeds/.test(deed);
    const expected = isRepeated ? [1, HANDLER_POLICY.retryCount + 1] : [1];
    assert.deepEqual(calls.get(name), expected, `${name} ${deed}`);
  }
  assert.equal(logged(site.logs, /Joined/).length, 1, "it stayed in the group");
});

/**
 * Goal: a handler that lets nothing else run loses its partitions, and nothing else is lost by it.
 * Method: the handler blocks the thread, heartbeats and all, for longer than the session, once.
 * Invariants: the member joins again, and the order is handed over again; topic and journal are the same; a
 * dead letter of each record that needs one, and of no other; each order called; all committed.
 */
Deno.test("a handler that blocks the thread past the session: the member joins again, the work is repeated", async () => {
  await using site = await createSite({ broker: broker.address });
  const callsFile = join(site.folder, "calls");
  await fill(site, FILLING);
  using tracker = startFaultTracker(site, { handler: { callsFile, isBlocking: true } });
  await until(
    "it has joined again",
    () => logged(site.logs, /Joined/).length > 1,
    PATIENCE_MS,
  );
  await untilAllCommitted(site);
  await stopTracker(tracker);

  await assertSameRecords(site);
  const { deeds, letters } = await expectedOf(site, true);
  await assertDeadLettersAreOf(site, letters);
  const calls = readCalls(callsFile);
  assert.deepEqual([...calls.keys()].sort(), [...deeds.keys()].sort());
  const [blocked] = [...deeds].find(([, deed]) => /blocks/.test(deed)) ?? [""];
  assert.ok((calls.get(blocked)?.length ?? 0) > 1, "the order that blocked was handed over again");
});
