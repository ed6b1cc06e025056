import assert from "node:assert/strict";
import { join } from "node:path";
import { Compile } from "typebox/compile";
import { schemaFiles } from "../../dev/schemas.ts";
import { createShop } from "../../lib/shop/shop.ts";
import type { KafkaRecord } from "../../lib/record.ts";
import { FAILURE_REASONS } from "../../lib/tracker/failures.ts";
import { judgeRecord } from "../../lib/tracker/judge.ts";
import { EventWriter } from "../../lib/journal/line.ts";
import type { Outcome, PlannedRecord } from "../../lib/producer/delivery.ts";
import { LedgerFile } from "../../lib/producer/ledger.ts";
import { UndeliveredFile } from "../../lib/producer/undelivered.ts";
import { loggerOf } from "../../lib/log.ts";
import { StatusFile } from "../../lib/tracker/status_file.ts";
import type { TrackerReport } from "../../lib/tracker_status.ts";
import { openJournal } from "../../lib/journal/open_journal.ts";
import { encodedLines } from "../journal/fixture.ts";

const PROJECT = join(import.meta.dirname ?? ".", "..", "..");
const NOW_MS = Date.UTC(2026, 0, 1);

function published(name: string) {
  return JSON.parse(Deno.readTextFileSync(join(PROJECT, "docs", "schemas", name)));
}

/** Returns functions that check a value against the published schema and list its errors. */
function checkerOf(
  name: string,
): { fits(value: unknown): boolean; errors(value: unknown): string } {
  const { properties: { order, ...properties } = {}, ...rest } = published(name);
  const isReference = order?.$ref !== undefined;
  // References to other files are resolved here by hand; readers' tools follow them.
  const schema = Compile(
    isReference
      ? { ...rest, properties: { ...properties, order: published(order.$ref) } }
      : published(name),
  );
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

Deno.test("the contract and the reference list every dead-letter reason", () => {
  for (
    const [page, row] of [
      ["contract.md", /^\| `orderflow\.errors\.reason`.*$/m],
      ["reference.md", /^\| `--reason R` .*$/m],
    ] as const
  ) {
    const [line = ""] = row.exec(Deno.readTextFileSync(join(PROJECT, "docs", page))) ?? [];
    assert.deepEqual(line.match(/\b[A-Z]{2,}\b/g), FAILURE_REASONS, `docs/${page}: ${line}`);
  }
});

Deno.test("the published order schema accepts the shop's orders", () => {
  const schema = checkerOf("order.schema.json");
  const shop = createShop({ seed: 3, countries: ["FR", "US", "SE", "GB", "DE"] });
  for (let index = 0; index < 2_000; index++) {
    const order = JSON.parse(JSON.stringify(shop.nextOrder(NOW_MS)));
    assert.ok(schema.fits(order), schema.errors(order));
    assert.ok(!schema.fits({ ...order, items: [] }));
    assert.ok(!schema.fits({ ...order, total: String(order.total) }));
  }
});

Deno.test("the published journal schema accepts every kind of line that the tracker writes", () => {
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

async function withFolder(test: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-schemas-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Asserts that the schema accepts each line of a file, and rejects it without any of its required fields. */
function assertLinesFit(
  name: string,
  path: string,
  { lineCount, optional = [] }: {
    readonly lineCount: number;
    readonly optional?: readonly string[];
  },
): void {
  const schema = checkerOf(name);
  const lines = Deno.readTextFileSync(path).trimEnd().split("\n");
  assert.equal(lines.length, lineCount);
  for (const line of lines) {
    const fields = JSON.parse(line);
    assert.ok(schema.fits(fields), schema.errors(fields));
    for (const field of Object.keys(fields)) {
      const { [field]: _, ...others } = fields;
      assert.equal(schema.fits(others), optional.includes(field), field);
    }
  }
}

const SILENT = { onFailure() {}, onRecovery() {} };

const RECORD: PlannedRecord = {
  orderId: "406ca90b-6d7c-4b39-8a6b-0f6f0a4b2a11",
  sequence: 1,
  partition: 2,
  key: new TextEncoder().encode("C1"),
  value: new TextEncoder().encode(JSON.stringify(createShop({ seed: 5 }).nextOrder(NOW_MS))),
  plannedAtMs: 0,
};

Deno.test("the published schemas accept the producer's ledger and its undelivered orders", () =>
  withFolder((folder) => {
    const ledger = new LedgerFile(join(folder, "ledger.jsonl"), SILENT);
    const times = { sentAtMs: 0, answeredAtMs: 1 };
    const topicId = "0f".repeat(16);
    const outcome = { kind: "acknowledged", topicId, offset: 17, ...times } as const;
    ledger.add({ record: RECORD, outcome });
    ledger.close();
    assertLinesFit("ledger-line.schema.json", join(folder, "ledger.jsonl"), {
      lineCount: 1,
      optional: ["topic_id"],
    });

    const undelivered = new UndeliveredFile(join(folder, "undelivered.jsonl"), SILENT);
    const outcomes: readonly Outcome[] = [
      { kind: "failed", reason: "too large" },
      { kind: "undelivered", reason: "no broker" },
      { kind: "unknown", reason: "no answer" },
    ];
    for (const outcome of outcomes) {
      undelivered.add({ record: RECORD, outcome });
      undelivered.add({ record: { ...RECORD, key: null, bad: "oversize" }, outcome });
    }
    undelivered.close();
    assertLinesFit("undelivered.schema.json", join(folder, "undelivered.jsonl"), { lineCount: 6 });
  }));

Deno.test("the published manifest schema accepts the manifests of a rotated journal", () =>
  withFolder(async (folder) => {
    const journal = await openJournal({
      directory: folder,
      onNotice: () => {},
      rotateBytes: 1_000,
    });
    for (let offset = 0; offset < 6; offset++) {
      await journal.append({
        topic: "orders",
        topicId: "0".repeat(32),
        partition: 0,
        intervals: [{ start: offset, end: offset + 1 }],
        epochs: [{ epoch: 3, start: offset }],
        ...encodedLines([
          `{"kafka_topic":"orders","kafka_partition":0,"kafka_offset":${offset},"raw_message":"${
            "x".repeat(400)
          }"}\n`,
        ]),
      });
    }
    const second = join(folder, "tracker.manifest.000002.json");
    const isThere = () => Deno.stat(second).then(() => true, () => false);
    for (const deadline = Date.now() + 10_000; !await isThere();) {
      assert.ok(Date.now() < deadline, "no manifest within 10 s");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await journal.close();
    assertLinesFit("manifest.schema.json", join(folder, "tracker.manifest.000001.json"), {
      lineCount: 1,
    });
    assertLinesFit("manifest.schema.json", second, { lineCount: 1 });
  }));

Deno.test("the published status schema accepts every status that the tracker writes", () =>
  withFolder(async (folder) => {
    const path = join(folder, "tracker.status");
    const file = new StatusFile({
      directory: folder,
      topic: "orders",
      groupId: "group",
      log: loggerOf("test"),
    });
    const reports: readonly TrackerReport[] = [
      {
        state: "starting",
        ready: false,
        reason: "starting",
        partitions: [{ partition: 0, position: null, committed: null, lag: null }],
        unassigned: null,
        open_transactions: [],
        latency_ms: null,
        counters: { received: 0, processed: 0, failed: 0, dead_lettered: 0, already_journaled: 0 },
      },
      {
        state: "blocked",
        ready: false,
        reason: "why",
        partitions: [{ partition: 0, position: 3, committed: 2, lag: 1, reason: "why" }],
        unassigned: [1],
        open_transactions: [{ partition: 0, first_offset: 3, records: 1, seconds: 2 }],
        latency_ms: { p50: 0.5, p99: 1, max: 2 },
        counters: { received: 3, processed: 2, failed: 1, dead_lettered: 1, already_journaled: 0 },
      },
    ];
    const schema = checkerOf("status.schema.json");
    for (const report of reports) {
      file.follow(() => report);
      file.start();
      await file.close();
      const written = JSON.parse(Deno.readTextFileSync(path));
      assert.equal(written.state, "stopped");
      for (const status of [written, { ...written, ...report }]) {
        assert.ok(schema.fits(status), schema.errors(status));
        for (const field of Object.keys(status).filter((name) => name !== "reason")) {
          const { [field]: _, ...others } = status;
          assert.ok(!schema.fits(others), `${field} is required`);
        }
      }
    }
  }));

Deno.test("each reference in the AsyncAPI document resolves", () => {
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
