import assert from "node:assert/strict";
import { eventLine } from "../../lib/journal/line.ts";
import { TopicReader } from "../../lib/kafka/topic_reader.ts";
import { judgeRecord, takeAnyRecord } from "../../lib/tracker/judge.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, createTopics, withAdmin } from "../site.ts";
import { sendEveryKind } from "./every_kind.ts";

await liveBroker();
const ANY_TIME = String(2n ** 63n - 1n);

/**
 * Goal: the journal is the same whether or not a record goes through the kernel.
 * Method: a partition with every kind of record is journaled as orders, and with `--schema none`. Then the records
 * are decoded, validated by parsing, and written without the kernel.
 */
Deno.test("every kind of record is journaled byte for byte as the readable implementation writes it", async () => {
  await using site = await createSite({ partitions: 0 });
  const configEntries = ["before", "after"].map((side) => ({
    name: `message.timestamp.${side}.max.ms`,
    value: ANY_TIME,
  }));
  await withAdmin(
    site,
    (admin) => createTopics(admin, [{ topic: site.topic, numPartitions: 1, configEntries }]),
  );
  await sendEveryKind(site.broker, site.topic);
  await using reader = await TopicReader.connect(
    { brokers: [site.broker], clientId: "test" },
    "probe",
  );
  const [ends] = await withAdmin(site, (admin) => admin.fetchTopicOffsets(site.topic));
  const range = { topic: site.topic, partition: 0, start: 0, end: Number(ends?.high) };
  const records = (await Array.fromAsync(reader.read(range))).flat();
  assert.ok(records.length > 400);
  for (const schema of ["order", "none"] as const) {
    const logs = `${site.folder}/${schema}`;
    const own = ["--group", `${site.group}-${schema}`, "--logs", logs, "--schema", schema];
    const { code, stderr } = await site.run("tracker", [...own, "--exit-at-end", "--json"]);
    assert.equal(code, 0, stderr);
    const lines = (await Deno.readTextFile(`${logs}/tracker.events`)).split("\n").slice(0, -1);
    assert.equal(lines.length, records.length);
    for (const [index, record] of records.entries()) {
      const { timestamp, kafka_topic_id: topicId } = JSON.parse(lines[index] ?? "{}");
      const { verdict } = (schema === "order" ? judgeRecord : takeAnyRecord)(record);
      const line = eventLine(record, verdict, { receivedAt: new Date(timestamp), topicId });
      assert.ok(`${lines[index]}\n` === line, `${schema}: offset ${record.offset}`);
    }
  }
});
