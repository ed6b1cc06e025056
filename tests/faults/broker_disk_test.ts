import assert from "node:assert/strict";
import { join } from "node:path";
import { startBrokerProcess } from "../../dev/broker_process.ts";
import { freePort } from "../../dev/local_port.ts";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { ReliableProducer } from "../../lib/kafka/producer.ts";
import { TopicReader } from "../../lib/kafka/topic_reader.ts";
import { loggerOf } from "../../lib/log.ts";
import { findDeadLetterTopic } from "../../lib/tracker/dead_letter_topic.ts";
import { DeadLetters } from "../../lib/tracker/dead_letters.ts";
import type { DeadLetter } from "../../lib/tracker/letter.ts";
import { until } from "../site.ts";
import { MAY_MOUNT, mountSmallDisk, succeeds } from "../small_disk.ts";

const LETTER_COUNT = 40;
const VALUE_BYTES = 400_000;
const TOPICS_MAX = 20;

/**
 * Goal: dead letters survive a broker whose disk is full.
 * Method: the broker keeps the dead-letter topic on a file system of 8 MB, and takes that disk offline when a letter
 * does not fit; the letters of 16 MB wait until the disk is larger and the broker has restarted.
 * Invariants: meanwhile the waiting record is reported with topic, partition, and offset; afterwards each letter is
 * in the topic, unchanged and in order.
 */
Deno.test({
  name:
    "dead letters wait while the broker's disk is full, and go when there is space (skipped if this user may not mount)",
  ignore: !MAY_MOUNT,
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "orderflow-disk-" });
    const disk = join(folder, "small");
    await Deno.mkdir(disk);
    assert.ok(await mountSmallDisk(disk, "8m"));
    const dataDir = join(folder, "broker");
    const port = freePort();
    const start = () =>
      startBrokerProcess({
        port,
        dataDir,
        quickStart: true,
        settings: {
          "log.dirs": `${join(dataDir, "kafka")},${disk}`,
          "log.index.size.max.bytes": "4096",
        },
      });
    let broker = await start();
    try {
      const connection = { brokers: [broker.address], clientId: "test" };
      await using cluster = await ClusterClient.connect(connection, "persist");
      const topic = await createTopicOn(disk, cluster);
      const producer = new ReliableProducer(connection);
      const deadLetters = new DeadLetters({
        producer,
        topic,
        partitionCount: 1,
        describe: () => findDeadLetterTopic(cluster, topic),
        log: loggerOf("test"),
        retryWaitMs: 100,
      });
      const letters = Array.from({ length: LETTER_COUNT }, (_, offset) => letterOf(offset));
      const sent = deadLetters.send(letters, () => true);
      await until("the letters are reported as waiting", () => deadLetters.blocked.size === 1);
      const blocked = deadLetters.blocked.get(0);
      assert.deepEqual([blocked?.topic, blocked?.partition], ["orders", 0]);
      assert.ok((blocked?.offset ?? 0) > 0, "the letters before it were sent");
      assert.match(blocked?.error ?? "", /KAFKA_STORAGE_ERROR|LEADER_NOT_AVAILABLE|leader/);

      await broker.kill();
      assert.ok(await succeeds("mount", "-o", "remount,size=64m", disk));
      broker = await start();
      assert.ok(await sent);
      await producer.close();
      assert.equal(deadLetters.blocked.size, 0);
      const offsets: number[] = [];
      await using reader = await TopicReader.connect(connection, "probe");
      for (const { partition, low, high } of await cluster.allOffsets(topic)) {
        const range = { topic, partition, start: low, end: high };
        for await (const records of reader.read(range)) {
          for (const { value } of records) {
            assert.equal(value?.length, VALUE_BYTES);
            offsets.push(value?.[0] ?? -1);
          }
        }
      }
      // A send that was unanswered when the disk failed can be repeated, but the order stays.
      assert.deepEqual([...new Set(offsets)], letters.map(({ record }) => record.offset));
    } finally {
      await broker.kill();
      await succeeds("umount", disk);
      await Deno.remove(folder, { recursive: true });
    }
  },
});

function letterOf(offset: number): DeadLetter {
  return {
    record: {
      topic: "orders",
      partition: 0,
      offset,
      timestampMs: Date.now(),
      key: null,
      value: new Uint8Array(VALUE_BYTES).fill(offset),
      headers: [],
    },
    failure: { reason: "VALIDATION", message: "bad" },
  };
}

/** Creates topics until the broker places one on the disk. */
async function createTopicOn(disk: string, cluster: ClusterClient): Promise<string> {
  for (let number = 0; number < TOPICS_MAX; number++) {
    const topic = `letters-${number}`;
    await cluster.ensureTopic(topic, { partitionCount: 1, config: { "retention.ms": "-1" } });
    await cluster.allOffsets(topic);
    const folders = Array.from(Deno.readDirSync(disk), ({ name }) => name);
    if (folders.includes(`${topic}-0`)) return topic;
  }
  throw new Error(`the broker placed none of ${TOPICS_MAX} topics on the disk`);
}
