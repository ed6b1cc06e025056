import assert from "node:assert/strict";
import { join } from "node:path";
import { createCluster } from "../../lib/kafka/kafkajs/client_cluster.ts";
import { encodeSealed } from "../../lib/journal/sealed_text.ts";
import { fingerprint, SegmentEdges } from "../../lib/journal/segments.ts";
import { openTracker } from "../../lib/tracker/open.ts";
import {
  createSite,
  journaledRecord,
  type JournalLine,
  readTopic,
  type Site,
  until,
} from "../site.ts";
import {
  assertAllCommitted,
  brokerOfFile,
  committedOffsets,
  fill,
  marksOf,
  nameOf,
  TEST_TIMEOUT_MS,
  untilAllCommitted,
} from "./fault_site.ts";
import { batchStart, truncateLog } from "./partition_log.ts";
import { assertTruncated, linesOf, send } from "./truncations.ts";

const broker = await brokerOfFile();

/** Runs a tracker until everything in the topic is journaled; returns how many records it journaled. */
async function track(
  site: Site,
  args: readonly string[] = ["--schema", "none"],
): Promise<number> {
  const { code, stdout, stderr } = await site.run("tracker", ["--exit-at-end", "--json", ...args]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout).received;
}

/** Rewrites a journal and its group's commits as an earlier version wrote them, without leader epochs. */
async function makeOlder(site: Site): Promise<void> {
  const path = join(site.logs, "tracker.events");
  const text = Deno.readTextFileSync(path).replaceAll(/,"kafka_leader_epoch":\d+/g, "");
  Deno.writeTextFileSync(path, text);
  const bytes = new TextEncoder().encode(text);
  const checkpoint = join(site.logs, "tracker.checkpoint");
  const { body } = JSON.parse(Deno.readTextFileSync(checkpoint));
  for (const { partitions } of body.topics) for (const each of partitions) delete each.epochs;
  delete body.active;
  const edges = new SegmentEdges();
  edges.append(bytes);
  const older = { ...body, position: bytes.length, fingerprint: fingerprint(edges) };
  Deno.writeTextFileSync(checkpoint, encodeSealed(older, { version: 1 }));

  const { journal, topics: [{ id }] } = body;
  const partitions = [...await committedOffsets(site)].map(([partition, offset]) => ({
    partition,
    offset: String(offset),
    metadata: `orderflow:${journal}:${id}`,
  }));
  const cluster = createCluster(site.kafka);
  await cluster.connect();
  const { groupId, topic } = { groupId: site.group, topic: site.topic };
  const coordinator = await cluster.findGroupCoordinator({ groupId }) as unknown as Coordinator;
  await coordinator.offsetCommit({
    groupId,
    memberId: "",
    groupGenerationId: -1,
    topics: [{ topic, partitions }],
  });
  await cluster.disconnect();
}

interface Coordinator {
  offsetCommit(request: object): Promise<unknown>;
}

/** Runs a tracker in this process whose handler records the sequences of orders; returns them. */
async function handle(site: Site): Promise<readonly number[]> {
  const sequences: number[] = [];
  await using tracker = await openTracker({
    connection: { brokers: [site.broker], clientId: "truncated-log-test" },
    topic: site.topic,
    groupId: site.group,
    logs: site.logs,
    from: "earliest",
    deadLetterTopic: site.deadLetterTopic,
    logLevel: "warn",
    schema: "order",
    onOrder: ({ sequence }) => void sequences.push(sequence),
  });
  await tracker.run({ stop: AbortSignal.timeout(TEST_TIMEOUT_MS), exitAtEnd: true });
  return sequences;
}

/**
 * Goal: whatever part of its log a broker lost, each record in the final log is journaled.
 * Method: topics lose the ends of their logs while the broker is down, and get other records at the same offsets.
 * Trackers run meanwhile or start afterwards: with closed, compressed, and removed segments, without a checkpoint, in
 * place of another member, or on a journal without leader epochs.
 * Invariants: each record of the topic is in the journal once, besides superseded ones; the first line of their
 * replacements is marked, once, and a WARN is logged; commits are the topic's ends; nothing is marked where nothing
 * was lost.
 */
Deno.test("after a broker lost the end of its log, every record of the final log is journaled", async (t) => {
  await using sites = new AsyncDisposableStack();
  const prepare = async (partitions: number) => {
    const site = sites.use(await createSite({ broker: broker.address, partitions }));
    for (let partition = 0; partition < partitions; partition++) {
      await send(site, { partition, count: 1000, tag: `before ${partition}` });
    }
    return site;
  };
  const running = await prepare(3);
  const stopped = await prepare(4);
  const rotated = await prepare(2);
  const takenOver = await prepare(1);
  const kept = await prepare(1);
  const upgraded = await prepare(3);
  const handled = sites.use(await createSite({ broker: broker.address, partitions: 1 }));
  await fill(handled, { count: 400, badPercent: 10, args: ["--key", "none"] });
  const rotation = ["--schema", "none", "--rotate", "100KB", "--compress"];
  const tracker = await running.start("tracker", ["--json", "--schema", "none"]);
  await Promise.all([track(stopped), track(rotated, rotation)]);
  await Promise.all([track(takenOver), track(kept, rotation), track(upgraded)]);
  await handle(handled);
  await untilAllCommitted(running);
  Deno.removeSync(join(rotated.logs, "tracker.checkpoint"));
  await makeOlder(upgraded);

  await broker.kill();
  const lose = (site: Site, partition: number, offset: number) =>
    truncateLog(broker.logFileOf(site.topic, partition), offset);
  const cut = batchStart(broker.logFileOf(handled.topic, 0), 200);
  lose(handled, 0, cut);
  lose(running, 0, 500);
  lose(running, 1, 700);
  lose(stopped, 0, 300);
  lose(stopped, 1, 0);
  lose(stopped, 2, 500);
  lose(rotated, 0, 400);
  lose(kept, 0, 500);
  lose(takenOver, 0, 500);
  lose(upgraded, 0, 500);
  lose(upgraded, 1, 600);
  await broker.restart();

  await t.step("a running tracker moves its commit back before new records arrive", async () => {
    await until("committed", async () => {
      const offsets = await committedOffsets(running);
      return [500, 700, 1000].every((offset, partition) => offsets.get(partition) === offset);
    }, TEST_TIMEOUT_MS);
  });

  await t.step("a running tracker journals the replacements of lost records", async () => {
    await send(running, { partition: 0, count: 700, batch: 700, tag: "after 0" });
    await send(running, { partition: 1, count: 100, tag: "after 1" });
    await send(running, { partition: 2, count: 100, tag: "after 2" });
    await untilAllCommitted(running);
    tracker.signal("SIGTERM");
    assert.equal(await tracker.exitCode, 0, tracker.output.stderr);
    await assertTruncated(running, [
      { partition: 0, offset: 500, superseded: 500 },
      { partition: 1, offset: 700, superseded: 300 },
    ]);
  });

  await t.step("handlers and dead letters get the replacement records", async () => {
    const before = (await handled.journal()).length;
    await fill(handled, { count: 400, badPercent: 10, args: ["--key", "none"] });
    const sequences = await handle(handled);
    const lines = (await handled.journal()).slice(before);
    const isGood = (line: JournalLine) => line["event_type"] === "message.received";
    assert.deepEqual(
      sequences,
      lines.filter(isGood).map((line) => JSON.parse(String(line["raw_message"])).sequence),
    );
    const letters = await readTopic({ ...handled, topic: handled.deadLetterTopic });
    const sent = new Set(letters.map(({ valueHash }) => valueHash));
    const bad = lines.filter((line) => !isGood(line)).map((line) =>
      journaledRecord(line).valueHash
    );
    assert.ok(bad.length > 0);
    assert.deepEqual(bad.filter((hash) => !sent.has(hash)), []);
    await assertTruncated(handled, [{ partition: 0, offset: cut, superseded: before - cut }]);
  });

  await t.step(
    "a journal with closed and compressed segments, and no checkpoint, gets the replacements",
    async () => {
      await send(rotated, { partition: 0, count: 700, tag: "after 0" });
      await send(rotated, { partition: 1, count: 100, tag: "after 1" });
      await track(rotated, rotation);
      Deno.removeSync(join(rotated.logs, "tracker.checkpoint"));
      await track(rotated, rotation);
      await assertTruncated(rotated, [
        { partition: 0, offset: 400, superseded: 600 },
      ]);
    },
  );

  await t.step(
    "a journal with removed segments, and no checkpoint, gets the replacements",
    async () => {
      await send(kept, { partition: 0, count: 700, tag: "after 0" });
      const received: number[] = [];
      for (let run = 0; run < 2; run++) {
        received.push(await track(kept, [...rotation, "--keep", "1s"]));
        Deno.removeSync(join(kept.logs, "tracker.checkpoint"));
      }
      assert.deepEqual(received, [700, 0]);
      const topic = (await readTopic(kept)).filter(({ offset }) => offset >= 500);
      const lines = (await linesOf(kept.logs)).filter((line) => line["kafka_leader_epoch"] !== 0);
      const names = lines.map((line) => nameOf(journaledRecord(line)));
      assert.deepEqual(names, topic.map(nameOf).slice(-lines.length));
      await assertAllCommitted(kept);
    },
  );

  await t.step(
    "another member continues from the last committed offset that the log still has",
    async () => {
      await send(takenOver, { partition: 0, count: 300, tag: "after" });
      const logs = join(takenOver.folder, "other");
      await track(takenOver, ["--schema", "none", "--logs", logs]);
      const lines = await linesOf(logs);
      assert.deepEqual(
        lines.map(journaledRecord),
        (await readTopic(takenOver)).filter(({ offset }) => offset >= 500),
      );
      assert.deepEqual(marksOf(lines).map(({ offset, mark }) => [offset, mark]), [[
        500,
        "partition 0 was truncated at offset 500: its records of leader epoch 0 were replaced in " +
        "leader epoch 2",
      ]]);
      await assertAllCommitted(takenOver);
    },
  );

  await t.step("a journal of an earlier version is compared with the topic", async () => {
    await send(upgraded, { partition: 0, count: 700, tag: "after 0" });
    await send(upgraded, { partition: 2, count: 100, tag: "after 2" });
    await track(upgraded);
    await send(upgraded, { partition: 1, count: 100, tag: "after 1" });
    await track(upgraded);
    await assertTruncated(upgraded, [
      { partition: 0, offset: 500, superseded: 500, oldEpoch: "unknown" },
      { partition: 1, offset: 600, superseded: 400, oldEpoch: "unknown" },
    ]);
  });

  await t.step(
    "a tracker that was stopped journals the replacements: up to the old end, from 0 on, and later",
    async () => {
      await send(stopped, { partition: 0, count: 700, tag: "after 0" });
      await send(stopped, { partition: 1, count: 1500, tag: "after 1", batch: 750 });
      await track(stopped);
      await send(stopped, { partition: 2, count: 100, tag: "after 2" });
      await send(stopped, { partition: 3, count: 100, tag: "after 3" });
      await track(stopped);
      await assertTruncated(stopped, [
        { partition: 0, offset: 300, superseded: 700 },
        { partition: 1, offset: 0, superseded: 1000 },
        { partition: 2, offset: 500, superseded: 500 },
      ]);
    },
  );
});
