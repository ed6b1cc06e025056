import assert from "node:assert/strict";
import { startBrokerProcess } from "../../dev/broker_process.ts";
import { freePort } from "../../dev/local_port.ts";
import type { ProducerSummary } from "../../lib/producer/accounts.ts";
import { assertJournalIsTopic, countJournalLines, createSite, until } from "../site.ts";

/**
 * Goal: a broker that is killed under load costs nothing that was acknowledged.
 * Method: producer and tracker run; the broker is killed with SIGKILL and started again on its data, twice.
 * Invariants: the producer's accounts add up and all is acknowledged; the topic holds what was acknowledged,
 * once, in order; topic and journal agree byte for byte.
 */
Deno.test("a broker killed and restarted under load: nothing lost, nothing twice, order kept", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "orderflow-restart-" });
  const port = freePort();
  const start = () => startBrokerProcess({ port, dataDir, quickStart: true });
  let broker = await start();
  try {
    await using site = await createSite({ broker: broker.address });
    const tracker = await site.start("tracker", ["--json"]);
    const producer = await site.start("producer", ["--rate", "500", "--json", "--key", "none"]);
    for (const linesMin of [500, 1_500]) {
      await until(`${linesMin} lines`, () => countJournalLines(site.logs) > linesMin);
      await broker.kill();
      broker = await start();
    }
    const linesAfterRestart = countJournalLines(site.logs);
    await until(
      "the journal grows again",
      () => countJournalLines(site.logs) > linesAfterRestart + 500,
    );
    producer.signal("SIGTERM");
    assert.equal(await producer.exitCode, 0, producer.output.stderr);
    const summary: ProducerSummary = JSON.parse(producer.output.stdout);
    assert.equal(summary.acknowledged, summary.generated);
    await until("all is journaled", () => countJournalLines(site.logs) >= summary.acknowledged);
    tracker.signal("SIGTERM");
    assert.equal(await tracker.exitCode, 0, tracker.output.stderr);

    const topic = await assertJournalIsTopic(site);
    assert.equal(topic.length, summary.acknowledged);
    const last = new Map<number, number>();
    for (const line of await site.journal()) {
      const { sequence } = JSON.parse(String(line["raw_message"]));
      assert.ok(
        sequence > (last.get(line.kafka_partition) ?? 0),
        `sequence ${sequence} is in order`,
      );
      last.set(line.kafka_partition, sequence);
    }
    assert.doesNotMatch(
      producer.output.stderr + tracker.output.stderr,
      /TimeoutNegativeWarning|\n\s+at /,
    );
  } finally {
    await broker.stop();
    await Deno.remove(dataDir, { recursive: true });
  }
});
