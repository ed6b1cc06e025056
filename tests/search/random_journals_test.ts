/**
 * Goal: the search finds exactly the records that a scan of all records finds, for any text.
 *
 * Method: random records are written to a real journal (plain, closed, and compressed segments; values with every way to
 * escape JSON; keys and headers that are not UTF-8). Random queries, most of them taken from a record, are answered by
 * the search and by `isWanted` below, which uses the records themselves and no lines, prefilter, or manifests.
 */

import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { isJsonObject } from "../../lib/json.ts";
import type { KafkaRecord } from "../../lib/record.ts";
import type { Query } from "../../lib/search/query.ts";
import { judgeRecord } from "../../lib/tracker/judge.ts";
import { seededRandom, TestFolder } from "../journal/fixture.ts";
import { bytesOf, recordOf, search, writeJournal } from "./journal_site.ts";

const CHARACTERS = [
  ...'ab"\\/u06e1é_<> =:',
  ...[
    "\n",
    "\t",
    "\u0007",
    "\u0000",
    "\u007f",
    "\u2028",
    "\ufeff",
    "\ufffd",
    "😀",
    "{",
    "}",
    "base64",
  ],
];
const RECORD_COUNT = 200;
const QUERY_COUNT = Deno.env.get("ORDERFLOW_FAULTS") === "long" ? 1_000 : 60;
const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });

class Source {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  one<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)] as Value;
  }

  text(lengthMax = 8): string {
    return Array.from({ length: this.below(lengthMax) + 1 }, () => this.one(CHARACTERS)).join("");
  }

  bytes(): Uint8Array {
    const kind = this.below(4);
    if (kind === 0) return new Uint8Array([0xff, ...bytesOf(this.text(4)), 0xc3]);
    return bytesOf(kind === 1 ? "" : this.text());
  }

  /** Serializes a value, with some characters escaped in one of the ways that JSON permits. */
  json(value: unknown): string {
    const style = this.below(4);
    return JSON.stringify(value).replace(
      /[^"\\{}[\]:,\d.]|\\u[0-9a-f]{4}/g,
      (character) => {
        if (character.startsWith("\\u")) {
          return style === 1 ? character.toUpperCase().replace("U", "u") : character;
        }
        const unit = character.charCodeAt(0);
        const isLetterOfJson = /[a-z]/.test(character) && style === 0;
        const isEscaped = !isLetterOfJson &&
          (style === 1 ? unit > 0x7f : style === 2 && this.below(3) === 0);
        if (style === 3 && character === "/") return "\\/";
        return isEscaped ? `\\u${unit.toString(16).padStart(4, "0")}` : character;
      },
    );
  }

  value(): Uint8Array | null {
    switch (this.below(6)) {
      case 0:
        return null;
      case 1:
        return this.bytes();
      case 2:
        return bytesOf(this.json([this.text(), { [this.text()]: null }]));
      default:
        return bytesOf(this.json({
          order_id: this.text(),
          total: this.below(10) - 5,
          customer_info: { customer_id: this.text() },
          [this.text()]: [this.text(), this.below(3) === 0],
        }));
    }
  }

  record(partition: number, offset: number): KafkaRecord {
    return recordOf(offset, {
      partition,
      topic: this.below(9) === 0 ? "other" : "orders",
      key: this.below(5) === 0 ? null : this.bytes(),
      value: this.value(),
      headers: Array.from({ length: this.below(3) }, () => ({
        key: this.text(3),
        value: this.below(5) === 0 ? null : this.bytes(),
      })),
      timestampMs: this.below(20) === 0 ? -1 : offset * 10 + this.below(30),
    });
  }

  /** Returns a substring, cut at code points. */
  partOf(text: string): string {
    const points = [...text];
    const start = this.below(points.length);
    return points.slice(start, start + 1 + this.below(6)).join("");
  }

  query(record: KafkaRecord): Query {
    const order = orderOf(record);
    const info = order["customer_info"];
    const header = record.headers.at(-1);
    const queries: readonly Query[] = [
      { text: this.partOf(this.one(textsOf(record))) },
      { text: this.text(3) },
      { key: keyText(record.key) ?? this.text() },
      { orderId: String(order["order_id"] ?? this.text()) },
      { customer: String(isJsonObject(info) ? info["customer_id"] : this.text()) },
      {
        headers: [
          this.below(2) === 0 || header?.value === null
            ? { name: header?.key ?? "a" }
            : { name: header?.key ?? "a", value: keyText(header?.value) },
        ],
      },
      {
        partition: record.partition,
        offsets: { from: record.offset, to: record.offset + this.below(20) },
      },
      {
        times: {
          min: record.timestampMs - this.below(50),
          max: record.timestampMs + this.below(50),
        },
      },
      { topic: record.topic },
      { failed: true, reasons: this.one([undefined, ["DESERIALIZATION"], ["VALIDATION"]]) },
    ];
    return this.below(3) === 0 ? { ...this.one(queries), ...this.one(queries) } : this.one(queries);
  }
}

function jsonOf({ value }: KafkaRecord): unknown {
  try {
    return value === null || !isUtf8(value) ? undefined : JSON.parse(DECODER.decode(value));
  } catch {
    return undefined;
  }
}

function orderOf(record: KafkaRecord): Readonly<Record<string, unknown>> {
  const value = jsonOf(record);
  return isJsonObject(value) ? value : {};
}

function keyText(bytes: Uint8Array | null | undefined): string | undefined {
  if (bytes === null || bytes === undefined) return undefined;
  return isUtf8(bytes) ? DECODER.decode(bytes) : bytes.toBase64();
}

function stringsIn(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(stringsIn);
  if (!isJsonObject(value)) return [];
  return Object.entries(value).flatMap(([name, each]) => [name, ...stringsIn(each)]);
}

/** Returns every text of a record that a text query covers. */
function textsOf(record: KafkaRecord): readonly string[] {
  const bytes = [record.value, record.key, ...record.headers.map(({ value }) => value)];
  return [
    ...bytes.flatMap((each) => each === null ? [] : [DECODER.decode(each)]),
    ...record.headers.map(({ key }) => key),
    ...stringsIn(jsonOf(record)),
    judgeRecord(record).verdict.error?.toWellFormed() ?? "",
  ];
}

function isWanted(query: Query, record: KafkaRecord): boolean {
  const { text, orderId, customer, key, headers = [], topic, partition, offsets, times } = query;
  const { verdict } = judgeRecord(record);
  const { customer_info: info, order_id } = orderOf(record);
  const reason = verdict.eventType.split(".")[2]?.replace("_error", "").toUpperCase();
  return [
    text === undefined || textsOf(record).some((each) => each.includes(text)),
    orderId === undefined || order_id === orderId,
    customer === undefined || (isJsonObject(info) && info["customer_id"] === customer),
    key === undefined || keyText(record.key) === key,
    headers.every(({ name, value }) =>
      record.headers.some((header) =>
        header.key === name && (value === undefined || keyText(header.value) === value)
      )
    ),
    topic === undefined || record.topic === topic,
    partition === undefined || record.partition === partition,
    offsets === undefined || (record.offset >= offsets.from && record.offset <= offsets.to),
    times === undefined || (record.timestampMs >= times.min && record.timestampMs <= times.max),
    query.failed !== true || reason !== undefined,
    query.reasons === undefined || query.reasons.some((each) => each === reason),
  ].every((each) => each);
}

for (const schema of ["order", "none"] as const) {
  Deno.test(`a search finds the same records as a full scan, in random journals (schema ${schema})`, async () => {
    const seed = Number(Deno.env.get("SEARCH_SEED") ?? Math.floor(Math.random() * 1e9));
    const source = new Source(seed);
    using folder = new TestFolder();
    const records = Array.from(
      { length: RECORD_COUNT },
      (_, index) => source.record(Math.floor(index / 5) % 3, index),
    );
    await writeJournal(folder.path, records, { schema, rotateBytes: 20_000, compress: true });
    assert.ok(folder.names("tracker.archive.").length > 3);
    let foundCount = 0;
    for (let index = 0; index < QUERY_COUNT; index++) {
      const query = source.query(source.one(records));
      if (schema === "none" && (query.failed || JSON.stringify(query).includes("text"))) continue;
      const wanted = records.filter((record) => isWanted(query, record))
        .map(({ partition, offset }) => `${partition}:${offset}`);
      const { places, problems } = await search(folder.path, query);
      assert.deepEqual(problems, []);
      assert.deepEqual(places, wanted, `seed ${seed}: ${JSON.stringify(query)}`);
      foundCount += wanted.length;
    }
    assert.ok(foundCount > 30, `seed ${seed}: ${foundCount} records found`);
  });
}
