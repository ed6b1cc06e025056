import assert from "node:assert/strict";
import { join } from "node:path";
import type { Transaction } from "kafkajs";
import { spawnBoundToUs } from "../../dev/child_process.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, createTopics, type Site, until, withAdmin } from "../site.ts";
import {
  committedOffsets,
  createDeadLetterTopic,
  FaultBroker,
  fill,
  limitDeadLetters,
  logged,
  say,
  topicRanges,
} from "./fault_site.ts";
import { setQuota } from "./quota.ts";
import { lagOf, readStatus, runMonitor, startWatched } from "./standing_site.ts";
import { joinStubbornly } from "./stubborn_member.ts";

const broker = await liveBroker();

/** The guaranteed time for the correct reason to appear. */
const REPORTED_WITHIN_MS = 5_000;
/** Additional time for a busy machine. */
const SLACK_MS = 2_000;

async function send(site: Site, values: readonly string[], partition = 0): Promise<void> {
  const producer = site.kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  await producer.send({
    topic: site.topic,
    messages: values.map((value) => ({ partition, value })),
  });
  await producer.disconnect();
}

/** Begins a transaction with some records, and leaves it open. */
async function openTransaction(
  site: Site,
  values: readonly string[],
): Promise<{ readonly transaction: Transaction; close(): Promise<void> }> {
  const producer = site.kafka.producer({
    transactionalId: crypto.randomUUID(),
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
  });
  await producer.connect();
  const transaction = await producer.transaction();
  await transaction.send({
    topic: site.topic,
    messages: values.map((value) => ({ partition: 0, value })),
  });
  return { transaction, close: () => producer.disconnect() };
}

function numbered(count: number, name: string): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${name} ${index}`);
}

/**
 * Goal: a stalled partition is visible from outside, whatever the others do.
 * Method: the dead-letter topic refuses letters; one bad record, then 2,000 more records behind it.
 * Invariants: lag is the high watermark minus the commit within 5 s; the tracker is not ready, and reports topic,
 * partition, offset, and error; the monitor reports the same; all is well once letters are accepted.
 */
Deno.test("with dead letters refused and 2,000 records behind, lag counts them, and readiness names the record", async () => {
  await using site = await createSite({ broker: broker.address });
  await createDeadLetterTopic(site, 100);
  await send(site, ["bad"]);
  const tracker = await startWatched(site);
  await tracker.untilNotReady(/dead letters cannot be sent/);
  await send(site, numbered(2_000, "also bad"));
  const startedAtMs = performance.now();
  const status = await tracker.untilStatus("the lag is right", (each) => lagOf(each) === 2_001);
  assert.ok(performance.now() - startedAtMs < REPORTED_WITHIN_MS + SLACK_MS);
  assert.equal((await committedOffsets(site)).get(0), 0);

  const expected = new RegExp(
    `dead letters cannot be sent: ${site.topic}\\[0\\] waits at offset 0: .*${site.deadLetterTopic}`,
  );
  assert.equal(status.state, "blocked");
  assert.equal(status.ready, false);
  assert.match(status.reason ?? "", expected);
  assert.match(status.partitions[0]?.reason ?? "", expected);
  assert.match((await tracker.readiness())?.reason ?? "", expected);
  const figures = await runMonitor(site);
  assert.equal(figures["lag"], 2_001);
  assert.equal(figures["state"], "blocked");
  assert.equal(figures["health"], "unhealthy");
  assert.match(String(figures["reason"]), expected);

  await limitDeadLetters(site, 1_000_000);
  await tracker.untilReady();
  const after = await tracker.untilStatus("no lag is left", (each) => lagOf(each) === 0);
  assert.equal(after.state, "consuming");
  assert.equal(after.reason, undefined);
});

/**
 * Goal: records behind an open transaction are neither forgotten nor reported as journaled.
 * Method: 3 records, a transaction of 4 that stays open, 5 records behind it; a running tracker, one with
 * --exit-at-end, and verify; then the transaction is committed, and another one aborted at the topic's end.
 * Invariants: lag is 9, and status, log, and readiness name the transaction; --exit-at-end and verify fail, and say
 * why; afterwards all is well, and lag is 0 although the topic ends with a marker.
 */
Deno.test("records behind an open transaction are counted, reported, and not verified until it ends", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 1 });
  const args = ["--schema", "none"];
  await send(site, numbered(3, "before"));
  const open = await openTransaction(site, numbered(4, "within"));
  await send(site, numbered(5, "behind"));
  {
    const tracker = await startWatched(site, { args });
    const { open_transactions: [named] } = await tracker.untilStatus(
      "the transaction is named",
      (status) => status.open_transactions.length === 1 && lagOf(status) === 9,
    );
    assert.equal(named?.partition, 0);
    assert.equal(named?.first_offset, 3);
    assert.equal(named?.records, 9);
    await tracker.untilNotReady(/waits behind a transaction .* 9 records from offset 3 on/, 15_000);
    const [line] = logged(site.logs, /behind an open transaction/);
    assert.equal(line?.level, "WARN");
    assert.deepEqual(
      [line?.metadata?.["partition"], line?.metadata?.["firstOffset"], line?.metadata?.["records"]],
      [0, 3, 9],
    );
    tracker.signal("SIGTERM");
    assert.equal(await tracker.exitCode, 0, tracker.output.stderr);
  }
  const ended = await site.run("tracker", ["--exit-at-end", "--json", ...args]);
  assert.equal(ended.code, 1);
  assert.equal(JSON.parse(ended.stdout).undecided, 9);
  assert.match(ended.stderr, /an open transaction .*9 records in .*\[0\] from offset 3 on/);
  const verified = await site.run("tracker", ["verify", "--json"]);
  assert.equal(verified.code, 1);
  const { ok, undecided, missing, partitions } = JSON.parse(verified.stdout);
  assert.deepEqual([ok, undecided, missing, partitions[0].undecided], [false, 9, 0, 9]);
  const text = await site.run("tracker", ["verify"]);
  assert.match(text.stdout, /undecided .*\[0\] 9 records from offset 3 on/);
  assert.match(text.stdout, /NOT PROVEN: 9 undecided/);

  await open.transaction.commit();
  await open.close();
  const aborted = await openTransaction(site, numbered(6, "aborted"));
  await aborted.transaction.abort();
  await aborted.close();
  const tracker = await startWatched(site, { args });
  await tracker.untilStatus(
    "no lag is left",
    (status) => status.counters["received"] === 9 && lagOf(status) === 0,
  );
  await tracker.untilReady();
  assert.deepEqual(tracker.status()?.open_transactions, []);
  tracker.signal("SIGTERM");
  assert.equal(await tracker.exitCode, 0);
  const again = await site.run("tracker", ["--exit-at-end", "--json", ...args]);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(JSON.parse(again.stdout).undecided, 0);
  const proven = await site.run("tracker", ["verify", "--json"]);
  assert.equal(proven.code, 0, proven.stdout);
  assert.equal(JSON.parse(proven.stdout).undecided, 0);
});

/**
 * Goal: a transaction that ends soon does not make anything fail.
 * Method: --exit-at-end and verify start while a transaction is open, which is committed a second later.
 * Invariants: both wait for it, and succeed.
 */
Deno.test("--exit-at-end and verify wait for an open transaction that is committed soon", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 1 });
  for (
    const command of [["--exit-at-end", "--json", "--schema", "none"], [
      "verify",
      "--json",
    ]] as const
  ) {
    const open = await openTransaction(site, numbered(3, "within"));
    const program = await site.start("tracker", command);
    if (command[0] === "verify") {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    } else {
      await until("the tracker has joined", () => logged(site.logs, /Joined/).length > 0);
    }
    await open.transaction.commit();
    await open.close();
    const code = await program.exitCode;
    const { received, records, undecided } = JSON.parse(program.output.stdout);
    assert.equal(undecided, 0);
    if (command[0] === "verify") {
      assert.deepEqual([code, records], [1, 6], "3 more than are journaled");
    } else assert.deepEqual([code, received], [0, 3]);
  }
});

/**
 * Goal: a throttled client does not report a missing broker, and keeps its partitions.
 * Method: a byte quota that allows one fetch about every 10 s, which is as long as the session timeout.
 * Invariants: throttling is reported within 5 s; a missing broker never is; the member stays in the group; everything
 * is journaled once the quota is removed.
 */
Deno.test("a tracker over its quota reports throttling and keeps its place in the group", async () => {
  const clientId = "orderflow-tracker";
  // The quota applies to all trackers on the broker.
  await using own = await FaultBroker.start();
  await using site = await createSite({ broker: own.address });
  await fill(site, { count: 1_500 });
  await setQuota(own.address, { clientId, name: "consumer_byte_rate", byteRate: 15_000 });
  const tracker = await startWatched(site);
  await until("the tracker has joined", () => logged(site.logs, /Joined/).length > 0);
  const startedAtMs = performance.now();
  await tracker.untilStatus(
    "throttling is reported",
    ({ reason }) => /throttled/.test(reason ?? ""),
    REPORTED_WITHIN_MS + SLACK_MS,
  );
  await until("15 s have passed", async () => {
    const { ready = true, reason = "" } = await tracker.readiness() ?? {};
    assert.ok(ready || /throttled/.test(reason), reason);
    return performance.now() - startedAtMs > 15_000;
  });
  assert.deepEqual(logged(site.logs, /No answer/), []);
  assert.equal(logged(site.logs, /Joined/).length, 1, "the member stayed in the group");
  await setQuota(own.address, { clientId, name: "consumer_byte_rate", byteRate: undefined });
  await tracker.untilStatus("no lag is left", (status) => lagOf(status) === 0);
  await tracker.untilStatus("no problem is reported", ({ reason }) => reason === undefined);
  assert.equal(tracker.status()?.counters["received"], 1_500);
});

/**
 * Goal: a deleted topic is reported as such.
 * Method: the topic is deleted under an idle tracker, and recreated later.
 * Invariants: reported within 5 s, never as a missing broker, with unknown lag; the tracker recovers by itself.
 */
Deno.test("a topic deleted under a running tracker is reported within 5 s, and the tracker recovers once it is recreated", async () => {
  await using site = await createSite({ broker: broker.address });
  await fill(site, { count: 100 });
  const tracker = await startWatched(site);
  await tracker.untilStatus("all is read", (status) => lagOf(status) === 0);
  await withAdmin(site, (admin) => admin.deleteTopics({ topics: [site.topic] }));
  const reportedMs = await tracker.untilNotReady(/^topic ".*" does not exist$/);
  say(`reported after ${Math.round(reportedMs)} ms`);
  assert.ok(reportedMs < REPORTED_WITHIN_MS + SLACK_MS, `${reportedMs} ms`);
  await tracker.untilStatus(
    "the lag is unknown",
    (status) => status.state === "waiting" && lagOf(status) === null,
  );
  assert.equal((await runMonitor(site))["lag"], null);
  await withAdmin(
    site,
    (admin) => createTopics(admin, [{ topic: site.topic, numPartitions: 3 }]),
  );
  await tracker.untilReady();
  await fill(site, { count: 50 });
  await tracker.untilStatus(
    "the new topic is read",
    (status) => status.counters["received"] === 150 && lagOf(status) === 0,
  );
  assert.deepEqual(logged(site.logs, /No answer/), []);
});

/**
 * Goal: records that expired before they were read do not count as lag.
 * Method: a tracker is stopped, or waits for its dead letters, while its unread records are deleted.
 * Invariants: lag returns to 0, and the commit is the topic's end.
 */
Deno.test("lag returns to 0 after unread records were deleted, while the tracker was stopped or running", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 1 });
  const deleteAll = async () => {
    const high = (await topicRanges(site)).get(0)?.high ?? 0;
    const partitions = [{ partition: 0, offset: String(high) }];
    await withAdmin(site, async (admin) => {
      await admin.fetchTopicOffsets(site.topic); // loads the metadata that the next call needs
      await admin.deleteTopicRecords({ topic: site.topic, partitions });
    });
    return high;
  };
  await createDeadLetterTopic(site, 100);
  await send(site, ["bad"]);
  const tracker = await startWatched(site);
  await tracker.untilNotReady(/dead letters/);
  await send(site, numbered(50, "unread"));
  let high = await deleteAll();
  await limitDeadLetters(site, 1_000_000);
  await tracker.untilStatus("no lag is left", (status) => lagOf(status) === 0);
  assert.equal((await committedOffsets(site)).get(0), high);
  await tracker.untilReady();
  tracker.signal("SIGTERM");
  assert.equal(await tracker.exitCode, 0);

  await send(site, numbered(50, "unread"));
  high = await deleteAll();
  const next = await startWatched(site);
  await next.untilStatus("no lag is left", (status) => lagOf(status) === 0);
  await next.untilReady();
  assert.equal((await committedOffsets(site)).get(0), high);
});

/**
 * Goal: a broker outage is reported as such, whether the broker died or hangs.
 * Method: SIGKILL and restart, then SIGSTOP and SIGCONT, under an idle tracker.
 * Invariants: reported within 5 s; the lag is unknown in the status and in the monitor; ready again without help.
 */
Deno.test("a killed or hanging broker is reported within 5 s, and the lag becomes unknown", async () => {
  await using own = await FaultBroker.start();
  await using site = await createSite({ broker: own.address });
  await fill(site, { count: 100 });
  const tracker = await startWatched(site);
  await tracker.untilStatus("all is read", (status) => lagOf(status) === 0);
  await own.kill();
  await assertAway();
  await own.restart();
  await tracker.untilReady();
  await tracker.untilStatus("the lag is known again", (status) => lagOf(status) === 0);
  own.pause();
  await assertAway();
  own.resume();
  await tracker.untilReady();
  await tracker.untilStatus("the lag is known again", (status) => lagOf(status) === 0);

  async function assertAway(): Promise<void> {
    const reportedMs = await tracker.untilNotReady(/^no broker has answered for \d+ s$/);
    say(`reported after ${Math.round(reportedMs)} ms`);
    assert.ok(reportedMs < REPORTED_WITHIN_MS + SLACK_MS, `${reportedMs} ms`);
    await tracker.untilStatus(
      "the lag is unknown",
      (status) => status.state === "waiting" && lagOf(status) === null,
      REPORTED_WITHIN_MS + SLACK_MS,
    );
    assert.equal((await runMonitor(site))["lag"], null);
  }
});

/**
 * Goal: a rebalance that does not end is reported as such.
 * Method: a member stays in the group without rejoining, while another one wants to join.
 * Invariants: reported within 5 s of its beginning, and never as a missing broker; ready again once the member
 * leaves.
 */
Deno.test("a rebalance that does not end is reported within 5 s, until it is over", async () => {
  await using site = await createSite({ broker: broker.address });
  await fill(site, { count: 50 });
  const tracker = await startWatched(site);
  await tracker.untilStatus("all is read", (status) => lagOf(status) === 0);
  const { topic, group: groupId } = site;
  await using member = await joinStubbornly({ broker: broker.address, groupId, topic });
  await tracker.untilStatus("one partition less", ({ partitions }) => partitions.length === 2);
  member.beginRebalance();
  const reportedMs = await tracker.untilNotReady(/./);
  assert.match(
    (await tracker.readiness())?.reason ?? "",
    /^the consumer group has been rebalancing/,
  );
  say(`reported after ${Math.round(reportedMs)} ms`);
  assert.ok(reportedMs < REPORTED_WITHIN_MS + SLACK_MS, `${reportedMs} ms`);
  await tracker.untilStatus("the status reports it", ({ state }) => state === "waiting", SLACK_MS);
  await until("the rebalance lasts", async () => {
    const { reason = "" } = await tracker.readiness() ?? {};
    return Number(/rebalancing for (\d+) s/.exec(reason)?.[1]) >= 7;
  });
  assert.deepEqual(logged(site.logs, /No answer/), []);
  await member.leave();
  await tracker.untilReady();
});

/**
 * Goal: a handler that does not return is reported.
 * Method: a handler that never returns.
 * Invariants: after 10 s the tracker is not ready, and names the record that the handler was given.
 */
Deno.test("a handler that does not return makes the tracker not ready, with the record that it was given", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 1 });
  await fill(site, { count: 3 });
  const script = join(import.meta.dirname ?? ".", "hanging_handler.ts");
  const args = [broker.address, site.topic, site.group, site.logs];
  const process = spawnBoundToUs(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-all", script, ...args],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  try {
    await until("it is not ready", () => {
      const { state, ready, reason = "" } = readStatus(site.logs) ?? {};
      return state === "blocked" && ready === false && /the handler has not finished/.test(reason);
    });
    const status = readStatus(site.logs);
    assert.match(status?.reason ?? "", /\[0\] offset 0 for 1\d s$/);
    assert.equal(status?.partitions[0]?.lag, 3);
  } finally {
    process.kill("SIGTERM");
    assert.equal((await process.status).code, 0);
  }
});
