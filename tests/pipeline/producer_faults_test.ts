import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { Kafka } from "kafkajs";
import { startBrokerProcess } from "../../dev/broker_process.ts";
import { freePort } from "../../dev/local_port.ts";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { DeliveryError } from "../../lib/kafka/errors.ts";
import { createCluster } from "../../lib/kafka/kafkajs/client_cluster.ts";
import { ReliableProducer } from "../../lib/kafka/producer.ts";
import { fetchRaw } from "../../lib/kafka/kafkajs/raw_fetch.ts";
import { areStored, findStoredBatch } from "../../lib/kafka/stored_batch.ts";
import type { ProducerSummary } from "../../lib/producer/accounts.ts";
import { Delivery, type DeliveryReport, type Send } from "../../lib/producer/delivery.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, hasCommand, type Site, until } from "../site.ts";
import { assertOnceAndInOrder, recordsOf } from "./topic_records.ts";

await liveBroker();

const ENCODER = new TextEncoder();
const OUTAGE_MS = 3_000;
/** Resolves once kcat gets a record into the topic. */
async function untilKcatProduces(broker: string, topic: string): Promise<void> {
  await until("kcat produces", async () => {
    const kcat = new Deno.Command("kcat", {
      args: ["-P", "-b", broker, "-t", topic, "-X", "message.timeout.ms=1000"],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const writer = kcat.stdin.getWriter();
    await writer.write(ENCODER.encode("probe\n"));
    await writer.close();
    return (await kcat.status).success;
  });
}

/** Reads the rows of HdrHistogram's text: the count of latencies up to each value. */
async function histogramRows(path: string): Promise<{ latencyMs: number; count: number }[]> {
  const lines = (await Deno.readTextFile(path)).split("\n");
  return lines.filter((line) => /^ +[\d.]+ +[\d.]+ +\d+/.test(line)).map((line) => {
    const [latencyMs = NaN, , count = NaN] = line.trim().split(/ +/).map(Number);
    return { latencyMs, count };
  });
}

/** Asserts that orders due during the outage have latencies of at least the rest of the outage. */
function assertOutageIsCounted(
  rows: readonly { readonly latencyMs: number; readonly count: number }[],
  { rate, outageMs, count }: { rate: number; outageMs: number; count: number },
): void {
  assert.ok(rows.length > 20, `${rows.length} rows`);
  assert.equal(rows.at(-1)?.count, count);
  for (const { latencyMs, count: countUpTo } of rows) {
    const expectedAbove = Math.floor(rate * (outageMs - latencyMs * 1.01) / 1_000);
    assert.ok(
      count - countUpTo >= expectedAbove,
      `${count - countUpTo} above ${latencyMs} ms, expected ${expectedAbove}`,
    );
  }
}

/**
 * Goal: a broker killed under a producer at 2,000 orders/s loses nothing, and the outage shows in the metrics.
 * Method: SIGKILL, 3 s of silence, restart on its data; the moment at which kcat gets a record in is noted, and the
 * send times are read from the topic. Invariants: all generated orders are acknowledged; each is in the topic once,
 * in order; from two seconds after that moment, each second has at least as many as the rate; every order due during
 * the outage is in the histogram with the rest of the outage; there is a window for every five seconds.
 */
Deno.test({
  name:
    "a broker killed and restarted at 2,000 orders/s: none lost, none repeated, in order, and full rate 2 s after kcat",
  ignore: !await hasCommand("kcat", "-V"),
  fn: async () => {
    const rate = 2_000;
    const dataDir = await Deno.makeTempDir({ prefix: "orderflow-faults-" });
    const port = freePort();
    let broker = await startBrokerProcess({ port, dataDir });
    try {
      await using site = await createSite({ broker: broker.address });
      await using probe = await createSite({ broker: broker.address, partitions: 1 });
      const admin = site.kafka.admin();
      const countInTopic = async () => {
        const offsets = await admin.fetchTopicOffsets(site.topic);
        return offsets.reduce((sum, { high }) => sum + Number(high), 0);
      };
      await admin.connect();
      const producer = await site.start("producer", [
        ...["--rate", String(rate), "--json", "--hdr", "logs/outage.hgrm"],
      ]);
      await until("4,000 orders are in the topic", async () => await countInTopic() > 4_000);
      await broker.kill();
      const killedAtMs = Date.now();
      await new Promise((resolve) => setTimeout(resolve, OUTAGE_MS));
      const outageMs = Date.now() - killedAtMs;
      broker = await startBrokerProcess({ port, dataDir });
      await untilKcatProduces(broker.address, probe.topic);
      const atRateFromMs = Date.now() + 2_000;
      await until("two seconds at full rate have passed", () => Date.now() > atRateFromMs + 2_000);
      await admin.disconnect();
      producer.signal("SIGTERM");
      assert.equal(await producer.exitCode, 0, producer.output.stderr);

      const summary: ProducerSummary = JSON.parse(producer.output.stdout);
      assert.equal(summary.acknowledged, summary.generated);
      const records = await recordsOf(site);
      assertOnceAndInOrder(records, summary.acknowledged);

      for (const secondMs of [atRateFromMs, atRateFromMs + 1_000]) {
        const sentCount = records.filter(({ timestampMs }) =>
          timestampMs >= secondMs && timestampMs < secondMs + 1_000
        ).length;
        assert.ok(sentCount >= rate * 0.95, `${sentCount} orders in a second after the outage`);
      }

      assertOutageIsCounted(await histogramRows(join(site.logs, "outage.hgrm")), {
        rate,
        outageMs,
        count: summary.acknowledged,
      });
      const { windows, acknowledged, seconds } = summary;
      assert.ok(windows.length >= Math.floor(seconds / 5));
      assert.equal(windows.reduce((sum, window) => sum + window.acknowledged, 0), acknowledged);
    } finally {
      await broker.stop();
      await Deno.remove(dataDir, { recursive: true });
    }
  },
});

/**
 * A second producer that uses the id of another, so that the broker answers the first one as if its state were lost.
 */
class Intruder implements AsyncDisposable {
  readonly #cluster: ReturnType<typeof createCluster>;
  readonly #topic: string;

  constructor({ broker, topic }: Site) {
    this.#cluster = createCluster(new Kafka({ brokers: [broker], logLevel: 0 }));
    this.#topic = topic;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster.disconnect();
  }

  /** Writes one record as the producer of the last batch of partition 0. */
  async write(value: object, as: "next in its sequence" | "its next epoch"): Promise<void> {
    await this.#cluster.connect();
    const { producerId, epoch, nextSequence } = await this.#lastBatch();
    const broker = await this.#cluster.findBroker({ nodeId: "1" }) as unknown as {
      produce(request: object): Promise<unknown>;
    };
    await broker.produce({
      acks: -1,
      timeout: 3_000,
      compression: 0,
      producerId: String(producerId),
      producerEpoch: as === "its next epoch" ? epoch + 1 : epoch,
      topicData: [{
        topic: this.#topic,
        partitions: [{
          partition: 0,
          firstSequence: as === "its next epoch" ? 0 : nextSequence,
          messages: [{ key: null, value: Buffer.from(JSON.stringify(value)) }],
        }],
      }],
    });
  }

  async #lastBatch(): Promise<{ producerId: bigint; epoch: number; nextSequence: number }> {
    const place = { topic: this.#topic, partition: 0, offset: 0, bytesMax: 1_000_000 };
    const { records } = await fetchRaw(this.#cluster, place);
    // A record batch has this layout, see lib/kafka/protocol/record_batch.ts.
    let start = 0;
    const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
    for (let end = 0; end < records.length;) {
      start = end;
      end = start + 12 + view.getInt32(start + 8);
    }
    return {
      producerId: view.getBigInt64(start + 43),
      epoch: view.getInt16(start + 51),
      nextSequence: view.getInt32(start + 53) + view.getInt32(start + 57),
    };
  }
}

async function createDelivery(site: Site, wrap: (send: Send) => Send = (send) => send) {
  const { topic } = site;
  const connection = { brokers: [site.broker], clientId: "test" };
  const producer = new ReliableProducer(connection);
  const reports: DeliveryReport[] = [];
  const lookups: string[] = [];
  const cluster = await ClusterClient.connect(connection, "probe");
  const delivery = new Delivery({
    topic: await cluster.describeTopic(topic),
    findTopic: () => cluster.findTopic(topic),
    areStored: (batches) => areStored(connection, { topic, batches }),
    batchBytesMax: 10_000,
    send: wrap((partition, records) => producer.send({ topic, partition, records })),
    findStored: (partition, records, search) =>
      findStoredBatch(connection, { topic, partition, records, ...search }),
    onLookup: (result) => lookups.push(result),
    onReport: (report) => reports.push(report),
  });
  let sequence = 0;
  const sendSome = async (count: number) => {
    for (let sent = 0; sent < count; sent++) {
      const order = { order_id: crypto.randomUUID(), sequence: ++sequence };
      delivery.accept({
        orderId: order.order_id,
        sequence,
        partition: 0,
        key: null,
        value: ENCODER.encode(JSON.stringify(order)),
        plannedAtMs: performance.now(),
      });
    }
    assert.equal(await delivery.flush(20_000), true);
  };
  const close = async () => {
    await producer.close();
    await cluster[Symbol.asyncDispose]();
  };
  return { close, sendSome, reports, lookups, skipSequence: () => ++sequence };
}

for (
  const [as, name] of [
    ["next in its sequence", "out of its sequence"],
    ["its next epoch", "fenced"],
  ] as const
) {
  Deno.test(`Delivery restarts a producer that the broker finds ${name}: nothing lost, nothing repeated`, async () => {
    await using site = await createSite({ partitions: 1 });
    await using intruder = new Intruder(site);
    const { close, sendSome, reports, lookups, skipSequence } = await createDelivery(site);
    await sendSome(3);
    await intruder.write({ sequence: skipSequence() }, as);
    await sendSome(5);
    await sendSome(4);
    await close();
    assert.deepEqual(lookups, ["sent_again"]);
    assert.ok(reports.every(({ outcome }) => outcome.kind === "acknowledged"));
    assertOnceAndInOrder(await recordsOf(site), 3 + 1 + 5 + 4);
  });
}

Deno.test("Delivery finds a stored but unacknowledged batch in the topic, and does not send it again", async () => {
  await using site = await createSite({ partitions: 1 });
  let sendCount = 0;
  const { close, sendSome, reports, lookups } = await createDelivery(
    site,
    (send) => async (partition, records) => {
      const answer = await send(partition, records);
      if (++sendCount !== 2) return answer;
      const cause = new Error("the answer was lost");
      throw new DeliveryError({ topic: site.topic, partition, fate: "unknown", reason: "", cause });
    },
  );
  await sendSome(3);
  await sendSome(5);
  await sendSome(4);
  await close();
  assert.deepEqual(lookups, ["found"]);
  assert.equal(sendCount, 3);
  const offsets = reports.map(({ outcome }) => outcome.kind === "acknowledged" && outcome.offset);
  assert.deepEqual(offsets, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  assertOnceAndInOrder(await recordsOf(site), 12);
});
