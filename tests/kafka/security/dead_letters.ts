import assert from "node:assert/strict";
import { createShop } from "../../../lib/shop/shop.ts";
import { startWatched } from "../../faults/standing_site.ts";
import { recordsOf } from "../../pipeline/topic_records.ts";
import { until } from "../../site.ts";
import { ALICE, allow, type Permission, revoke } from "../secured_broker.ts";
import { broker, brokerTest, PLAIN, securedSite } from "../secured_site.ts";
import { trackerPermissions } from "./documented_permissions.ts";

/**
 * Goal: when a running tracker loses the permission for its dead-letter topic, only partitions with bad records wait,
 * and nothing is lost.
 * Method: the permission Write is revoked once a first letter has arrived, and granted again later.
 * Invariants: readiness names topic, partition, offset, and what to do; the other partition's commit advances;
 * afterwards each letter is there once, unchanged.
 */
brokerTest(
  "a tracker whose permission for the dead-letter topic is revoked waits, reports why, and continues when it is granted again",
  async () => {
    await using site = await securedSite({ partitions: 2, programs: broker.sasl, env: PLAIN });
    await allow(broker, ALICE.username, trackerPermissions(site));
    const producer = site.kafka.producer({ allowAutoTopicCreation: false });
    await producer.connect();
    const send = (partition: number, value: string) =>
      producer.send({ topic: site.topic, messages: [{ partition, value }] });
    const tracker = await startWatched(site);
    const values = async () =>
      (await recordsOf({ ...site, topic: site.deadLetterTopic }))
        .map(({ value }) => value && new TextDecoder().decode(value));
    const committed = (partition: number) =>
      tracker.status()?.partitions.find((each) => each.partition === partition)?.committed;

    await send(0, "bad 0");
    await until("the first letter is there", () => committed(0) === 1);
    const write: Permission = ["TOPIC", site.deadLetterTopic, "WRITE"];
    await revoke(broker, ALICE.username, write);
    await send(0, "bad 1");
    await tracker.untilNotReady(
      new RegExp(
        `${site.topic}\\[0\\] waits at offset 1: .*TOPIC_AUTHORIZATION_FAILED.*operator`,
      ),
    );
    await send(1, JSON.stringify(createShop({ seed: 7 }).nextOrder(Date.UTC(2026, 0, 1))));
    await until("the other partition advances", () => committed(1) === 1);
    assert.equal(committed(0), 1);

    await allow(broker, ALICE.username, [write]);
    await until("everything is committed", () => committed(0) === 2);
    await tracker.untilReady();
    assert.deepEqual(await values(), ["bad 0", "bad 1"]);
    await producer.disconnect();
    tracker.signal("SIGTERM");
    assert.equal(await tracker.exitCode, 0, tracker.output.stderr);
  },
);
