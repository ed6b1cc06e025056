import assert from "node:assert/strict";
import type { KafkaRecord } from "../lib/record.ts";
import { EventWriter } from "../lib/journal/line.ts";
import { sendFullRecords } from "./faults/full_records.ts";
import { liveBroker } from "./live_broker.ts";
import { createSite, readTopic } from "./site.ts";
import { TopicReader } from "../lib/kafka/topic_reader.ts";
import { differingFields, journaledRecord, type SeenRecord } from "./seen_record.ts";

await liveBroker();

function throughJournal(record: KafkaRecord): SeenRecord {
  const writer = new EventWriter();
  writer.write(record, { eventType: "message.received", isText: true, deserialized: true }, {
    receivedAt: new Date(),
  });
  return journaledRecord(JSON.parse(new TextDecoder().decode(writer.lines)));
}

/** Changes to a record, by the field that the comparison names. */
const CHANGES: Readonly<
  Record<string, readonly ((record: KafkaRecord) => Partial<KafkaRecord>)[]>
> = {
  key: [({ key }) => ({ key: key === null ? new Uint8Array() : null })],
  headers: [
    ({ headers }) => ({ headers: headers.slice(1) }),
    ({ headers }) => ({ headers: headers.toReversed() }),
    ({ headers }) => ({ headers: headers.toSorted((a, b) => a.key < b.key ? -1 : 1) }),
    ({ headers }) => ({
      headers: headers.map(({ key, value }) => ({ key, value: value ?? new Uint8Array() })),
    }),
    ({ headers }) => ({ headers: [...new Map(headers.map((each) => [each.key, each])).values()] }),
  ],
  timestampMs: [({ timestampMs }) => ({ timestampMs: timestampMs + 1 })],
  valueHash: [({ value }) => ({ value: new Uint8Array([...value ?? [], 0x20]) })],
};

Deno.test("differingFields() names the key, headers, timestamp, or value that differs", async () => {
  await using site = await createSite({ partitions: 2 });
  const count = await sendFullRecords(site, { count: 40 });
  const topic = await readTopic(site);
  assert.equal(topic.length, count);
  assert.equal(new Set(topic.map(({ timestampMs }) => timestampMs)).size, count);
  await using reader = await TopicReader.connect(
    { brokers: [site.broker], clientId: "test" },
    "probe",
  );
  const records: KafkaRecord[] = [];
  for (const partition of [0, 1]) {
    const end = count / 2;
    for await (const some of reader.read({ topic: site.topic, partition, start: 0, end })) {
      records.push(...some);
    }
  }
  assert.deepEqual(records.map(throughJournal), topic);
  const seen = new Map(topic.map((record) => [`${record.partition}/${record.offset}`, record]));
  for (const [field, changes] of Object.entries(CHANGES)) {
    for (const change of changes) {
      const found = records.flatMap((record) => {
        const original = seen.get(`${record.partition}/${record.offset}`);
        const changed = throughJournal({ ...record, ...change(record) });
        return original === undefined ? [] : differingFields(original, changed);
      });
      assert.deepEqual([...new Set(found)], [field], String(change));
    }
  }
});
