/**
 * Fills a partition with every kind of record that the tracker tells apart.
 */

import { ReliableProducer } from "../../lib/kafka/producer.ts";
import { TransactionalProducer } from "../../lib/kafka/transactional_producer.ts";
import type { OutgoingRecord } from "../../lib/record.ts";
import { createShop } from "../../lib/shop/shop.ts";
import { Random } from "../../lib/shop/random.ts";

const ENCODER = new TextEncoder();
const SHOP = createShop({ seed: 21, countries: ["FR", "SE"] });
const BLANK = { partition: 0, key: null, headers: [] } as const;

function order(): string {
  return JSON.stringify(SHOP.nextOrder(Date.UTC(2026, 10, 25)));
}

function textRecord(text: string): OutgoingRecord {
  return { ...BLANK, key: ENCODER.encode("customer-1"), value: ENCODER.encode(text) };
}

/**
 * Returns one record of each kind: good and bad orders, text and bytes, with and without keys, headers, and
 * timestamps beyond 2^53.
 */
function kinds(): readonly OutgoingRecord[] {
  const good = order();
  const noUtf8 = new Uint8Array([0x7b, 0xff, 0x0a]);
  const texts = [
    good,
    JSON.stringify(JSON.parse(good), null, "\t").replaceAll("\n", "\r\n"),
    good.replace(/"tax":[\d.]+,/, ""),
    good.replace(/"sequence":\d+/, '"sequence":0'),
    good.replace(/"total":[\d.]+/, '"total":1'),
    good.replace("{", '{"note":[1,{"a":null}],'),
    good.replace("{", '{"status":"",'),
    good.replace(/"status":"[^"]*"/, '"status":"\\ud83d"'),
    good.replace(/"status":"[^"]*"/, '"status":"\\u0070ending 😀 \\u2028"'),
    good.replace(/"sequence":\d+/, '"sequence":1e400'),
    `{"deep":${"[".repeat(100)}${"]".repeat(100)}}`,
    "",
    "{",
    "[1]",
    "\ufeff{}",
    'tab\tline\r\nbell\x07 "quoted" back\\slash é \u0000',
    "x".repeat(100_000),
    `{"a":"${'\\"'.repeat(300_000)}"}`,
  ];
  return [
    ...texts.map(textRecord),
    { ...BLANK, value: null },
    { ...BLANK, key: ENCODER.encode("tombstone"), value: null },
    { ...BLANK, key: noUtf8, value: noUtf8 },
    { ...textRecord(good), key: noUtf8 },
    { ...textRecord(good), key: new Uint8Array() },
    {
      ...textRecord(good),
      headers: [
        { key: "a", value: ENCODER.encode('1 "\n"') },
        { key: "a", value: null },
        { key: "", value: new Uint8Array() },
      ],
    },
    { ...textRecord(good), headers: [{ key: "b\u0000é", value: noUtf8 }] },
    ...[2n ** 53n, 2n ** 62n].map((exactTimestampMs) => ({
      ...textRecord(good),
      timestampMs: Number(exactTimestampMs),
      exactTimestampMs,
    })),
  ];
}

/** Sends each kind plain, compressed, and in transactions, some of them aborted, and mixed among good orders. */
export async function sendEveryKind(broker: string, topic: string): Promise<void> {
  const connection = { brokers: [broker], clientId: "test" };
  const place = { topic, partition: 0 };
  const producer = new ReliableProducer(connection);
  await producer.send({ ...place, records: kinds() });
  await producer.send({ ...place, records: kinds(), compression: "gzip" });
  for (const isCommitted of [true, false, true]) {
    const transactionalId = `${topic}-${isCommitted}`;
    await using transactions = await TransactionalProducer.open(connection, {
      transactionalId,
      transactionTimeoutMs: 10_000,
    });
    await transactions.send({ ...place, records: kinds() });
    if (isCommitted) await transactions.commit();
  }
  const random = new Random(9);
  const many = Array.from({ length: 400 }, () => textRecord(order()));
  for (const record of kinds()) many.splice(random.uint32() % many.length, 0, record);
  for (let at = 0; at < many.length; at += 100) {
    await producer.send({ ...place, records: many.slice(at, at + 100) });
  }
  await producer.close();
}
