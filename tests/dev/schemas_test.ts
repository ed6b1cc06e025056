import assert from "node:assert/strict";
import { join } from "node:path";
import { Compile } from "typebox/compile";
import { schemaFiles } from "../../lib/dev/schemas.ts";
import { createShop } from "../../lib/shop.ts";
import type { KafkaRecord } from "../../lib/kafka/record.ts";
import { judgeRecord } from "../../lib/tracker/judge.ts";
import { EventWriter } from "../../lib/tracker/event.ts";

const PROJECT = join(import.meta.dirname ?? ".", "..", "..");
const NOW_MS = Date.UTC(2026, 0, 1);

function published(name: string) {
  return JSON.parse(Deno.readTextFileSync(join(PROJECT, "docs", "schemas", name)));
}

/** Whether a value is as the published schema has it; a word against it where it is not. */
function checkerOf(
  name: string,
): { fits(value: unknown): boolean; errors(value: unknown): string } {
  const schema = Compile(published(name));
  return {
    fits: (value) => schema.Check(value),
    errors: (value) => JSON.stringify(schema.Errors(value)),
  };
}

Deno.test("docs/schemas/ is what `deno task schemas` writes", () => {
  for (const [name, text] of Object.entries(schemaFiles())) {
    assert.equal(
      Deno.readTextFileSync(join(PROJECT, "docs", "schemas", name)),
      text,
      `${name} is stale: run "deno task schemas"`,
    );
  }
});

Deno.test("the published order schema takes the shop's orders", () => {
  const schema = checkerOf("order.schema.json");
  const shop = createShop({ seed: 3, countries: ["FR", "US", "SE", "GB", "DE"] });
  for (let index = 0; index < 2_000; index++) {
    const order = JSON.parse(JSON.stringify(shop.nextOrder(NOW_MS)));
    assert.ok(schema.fits(order), schema.errors(order));
    assert.ok(!schema.fits({ ...order, items: [] }));
    assert.ok(!schema.fits({ ...order, total: String(order.total) }));
  }
});

Deno.test("the published journal schema takes every kind of line that the tracker writes", () => {
  const schema = checkerOf("journal-line.schema.json");
  const encoder = new TextEncoder();
  const shop = createShop({ seed: 4 });
  const order = encoder.encode(JSON.stringify(shop.nextOrder(NOW_MS)));
  const values = [
    order,
    encoder.encode("{"),
    encoder.encode('{"order_id":""}'),
    new Uint8Array([0xff, 0xfe]),
    new Uint8Array(0),
    null,
  ];
  for (const [offset, value] of values.entries()) {
    const record: KafkaRecord = {
      topic: "orders",
      partition: 0,
      offset,
      key: offset % 2 === 0 ? encoder.encode("C1") : new Uint8Array([0xff]),
      value,
      headers: [
        { key: "a", value: encoder.encode("b") },
        { key: "a", value: null },
        { key: "c", value: new Uint8Array([0xff]) },
      ],
      timestampMs: NOW_MS,
    };
    const writer = new EventWriter();
    writer.write(record, judgeRecord(record).verdict, {
      receivedAt: new Date(NOW_MS),
      topicId: "0".repeat(32),
      mark: "something",
    });
    const line = JSON.parse(new TextDecoder().decode(writer.lines));
    assert.ok(schema.fits(line), schema.errors(line));
    for (const name of Object.keys(line)) {
      assert.ok(name in published("journal-line.schema.json").properties, `${name} is published`);
    }
    for (const name of ["kafka_offset", "raw_message", "event_type"]) {
      assert.ok(!schema.fits({ ...line, [name]: undefined }));
    }
  }
});

Deno.test("each reference of the AsyncAPI document leads somewhere", () => {
  const document = published("asyncapi.json");
  const references: string[] = [];
  JSON.stringify(document, (key, value) => {
    if (key === "$ref") references.push(value);
    return value;
  });
  assert.ok(references.length >= 7);
  for (const reference of references) {
    if (!reference.startsWith("#/")) {
      assert.ok(published(reference).$id !== undefined, reference);
      continue;
    }
    const found = reference.slice(2).split("/").reduce((value, name) => value?.[name], document);
    assert.notEqual(found, undefined, reference);
  }
});
