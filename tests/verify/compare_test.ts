/** Tests verify on journals that differ from their topic in one respect. Topic and journal are in memory. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { KafkaRecord } from "../../lib/record.ts";
import { EventWriter } from "../../lib/journal/line.ts";
import { SegmentAccount } from "../../lib/journal/account.ts";
import { encodeSealed } from "../../lib/journal/sealed_text.ts";
import { judgeRecord } from "../../lib/tracker/judge.ts";
import { describeVerification } from "../../lib/verify/report.ts";
import type { Verification } from "../../lib/verify/verification.ts";
import {
  countsOf,
  type MemoryFiles,
  memoryStorage,
  TOPIC,
  TOPIC_ID,
  verifyInMemory,
} from "./memory_site.ts";

const TIMESTAMP_MS = 1_756_684_800_000;
const bytesOf = (text: string) => new TextEncoder().encode(text);

function recordOf(offset: number, fields: Partial<KafkaRecord> = {}): KafkaRecord {
  return {
    topic: TOPIC,
    partition: 0,
    offset,
    timestampMs: TIMESTAMP_MS + offset,
    key: bytesOf(`key ${offset}`),
    value: bytesOf(`{"number":${offset},"big":9007199254740993,"text":"é \\u0041\\/"}`),
    headers: [
      { key: "b", value: bytesOf("1") },
      { key: "a", value: null },
      { key: "b", value: bytesOf("2") },
    ],
    leaderEpoch: 1,
    ...fields,
  };
}

function lineOf(record: KafkaRecord, { mark }: { readonly mark?: string } = {}): string {
  const writer = new EventWriter();
  writer.write(record, judgeRecord(record).verdict, {
    receivedAt: new Date(TIMESTAMP_MS),
    topicId: TOPIC_ID,
    ...(mark !== undefined && { mark }),
  });
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(writer.lines);
}

function activeOf(lines: readonly string[]): MemoryFiles {
  return new Map([["tracker.events", bytesOf(lines.join(""))]]);
}

/** Replaces one occurrence and asserts that there is one. */
function replaced(text: string, from: string | RegExp, to: string): string {
  const changed = text.replace(from, to);
  assert.notEqual(changed, text, `${from} does not occur in ${text}`);
  return changed;
}

const RECORDS = Array.from({ length: 6 }, (_, offset) => recordOf(offset));
const LINES = RECORDS.map((record) => lineOf(record));
const WHOLE = { journals: 1, records: 6, journaled: 6 };

/** Verifies the journal after a change to its line of offset 3. */
function verifyChanged(change: (line: string) => string): Promise<Verification> {
  return verifyInMemory(activeOf(LINES.with(3, change(LINES[3] ?? ""))), RECORDS);
}

Deno.test("verify accepts the unchanged journal of these tests", async () => {
  const verification = await verifyInMemory(activeOf(LINES), RECORDS);
  assert.deepEqual(countsOf(verification), WHOLE);
  assert.equal(verification.ok, true);
});

Deno.test("verify detects a line with a misspelled timestamp field and other key and headers", async () => {
  const verification = await verifyChanged((line) =>
    replaced(
      replaced(replaced(line, "kafka_timestamp", "kafka_timestamq"), "key 3", "key 4"),
      '"key":"a"',
      '"key":"c"',
    )
  );
  assert.deepEqual(countsOf(verification), { ...WHOLE, mismatched: 1, without_details: 1 });
  assert.deepEqual(verification.partitions[0]?.examples.mismatched, [3]);
  assert.equal(verification.ok, false);
});

Deno.test("verify detects a field that is missing, repeated, or whose name differs in one byte", async () => {
  const line = LINES[3] ?? "";
  const names = Object.keys(JSON.parse(line));
  assert.ok(names.length > 12);
  for (const name of names) {
    const field = new RegExp(`(?<=[{,])"${name}":.*?(?=,"(?:${names.join("|")})"|\\}\\n)`);
    const changes: Record<string, (line: string) => string> = {
      renamed: (line) => replaced(line, `"${name}":`, `"${name.slice(0, -1)}_":`),
      "left out": (line) =>
        line.replace(field, "").replace(",,", ",").replace("{,", "{").replace(",}\n", "}\n"),
      doubled: (line) => line.replace(field, "$&,$&"),
    };
    for (const [form, change] of Object.entries(changes)) {
      const { ok } = await verifyChanged(change);
      // A line without a topic id may come from an earlier version or from the Go tracker.
      assert.equal(ok, name === "kafka_topic_id" && form === "left out", `${name} ${form}`);
    }
  }
});

Deno.test("verify detects two adjacent lines that were swapped", async () => {
  const [first = "", second = ""] = LINES.slice(2, 4);
  const verification = await verifyInMemory(
    activeOf(LINES.toSpliced(2, 2, second, first)),
    RECORDS,
  );
  assert.deepEqual(countsOf(verification), { ...WHOLE, out_of_order: 1 });
  assert.deepEqual(verification.partitions[0]?.examples.out_of_order, [2]);
  assert.equal(verification.ok, false);
  assert.match(
    describeVerification(verification).join("\n"),
    /out of order .*orders\[0\] offset 2/,
  );
});

Deno.test("verify accepts lower offsets only after a mark that the group's position was moved", async () => {
  for (
    const [mark, isExplained] of [
      ["the group was reset to offset 0", true],
      ["offsets 0 to 1 were deleted; the group was reset to offset 0", true],
      ["the topic was created again: reading it from its beginning", false],
      ["the log was truncated", false],
    ] as const
  ) {
    const [first = recordOf(0), ...rest] = RECORDS;
    const lines = [
      ...LINES.slice(3),
      lineOf(first, { mark }),
      ...rest.slice(0, 2).map((r) => lineOf(r)),
    ];
    const verification = await verifyInMemory(activeOf(lines), RECORDS);
    assert.equal(verification.out_of_order, isExplained ? 0 : 3, mark);
    assert.equal(verification.ok, isExplained, mark);
  }
});

Deno.test("verify accepts the lines before and after a log truncation: superseded ones, then those of the new epoch", async () => {
  const rewritten = [3, 4, 5].map((offset) => recordOf(offset, { leaderEpoch: 2, key: null }));
  const records = [...RECORDS.slice(0, 3), ...rewritten];
  const files: MemoryFiles = new Map([
    ["tracker.events.000001", bytesOf(LINES.join(""))],
    ["tracker.events", bytesOf(rewritten.map((record) => lineOf(record)).join(""))],
  ]);
  const verification = await verifyInMemory(files, records);
  assert.deepEqual(countsOf(verification), { ...WHOLE, superseded: 3 });
  assert.equal(verification.ok, true);
});

Deno.test("verify reports a record of a new epoch as missing if only a removed segment had its offset, in an earlier epoch", async () => {
  const account = new SegmentAccount();
  for (const { offset, leaderEpoch } of RECORDS) {
    account.addRecord({ topic: TOPIC, topicId: TOPIC_ID, partition: 0 }, {
      offset,
      leaderEpoch,
      timestampMs: undefined,
    });
  }
  const { lines, ...data } = account.data();
  const name = "tracker.events.000001";
  const fingerprint = { headSha256: "", tailSha256: "" };
  const segment = { name, bytes: 1, lines, sha256: "", fingerprint };
  const rest = { created: "", journal: "", chain: 1, previous: null };
  const manifest = encodeSealed({ segment, ...data, ...rest }, { version: 1 });
  const files: MemoryFiles = new Map([
    ["tracker.removed.000001.json", bytesOf(manifest)],
    ...activeOf([]),
  ]);
  const whole = await verifyInMemory(files, RECORDS);
  assert.deepEqual(countsOf(whole), { journals: 1, records: 6, removed: 6 });
  assert.equal(whole.ok, true);

  const rewritten = [3, 4, 5].map((offset) => recordOf(offset, { leaderEpoch: 2 }));
  const verification = await verifyInMemory(files, [...RECORDS.slice(0, 3), ...rewritten]);
  assert.deepEqual(countsOf(verification), { journals: 1, records: 6, removed: 3, missing: 3 });
  assert.deepEqual(verification.partitions[0]?.examples.missing, [3, 4, 5]);
});

Deno.test("verify compares headers in order", async () => {
  const { headers } = recordOf(3);
  const [first, second, third] = headers;
  assert.ok(first && second && third);
  for (const changed of [[second, first, third], [third, second, first], [first, third, second]]) {
    const verification = await verifyChanged(() => lineOf(recordOf(3, { headers: changed })));
    assert.deepEqual(countsOf(verification), { ...WHOLE, mismatched: 1 });
  }
});

Deno.test("verify detects a line with another record's leader epoch, and one without its epoch", async () => {
  const changes = [/"kafka_leader_epoch":1/, '"kafka_leader_epoch":2'] as const;
  assert.equal((await verifyChanged((line) => replaced(line, ...changes))).mismatched, 1);
  const without = (line: string) => replaced(line, /,"kafka_leader_epoch":1/, "");
  assert.equal((await verifyChanged(without)).mismatched, 1);

  const upgraded = LINES.map((line, index) => index < 3 ? without(line) : line);
  const verification = await verifyInMemory(activeOf(upgraded), RECORDS);
  assert.deepEqual(countsOf(verification), WHOLE, "earlier versions wrote no epoch");
});

Deno.test("verify compares order_full with the value", async () => {
  const order = /"order_full":(\{.*?\}),/;
  const changes: Record<string, (line: string) => string> = {
    "another number": (line) => line.replace(order, (field) => replaced(field, "3", "4")),
    "a digit that JSON.parse rounds away": (line) =>
      line.replace(order, (field) => replaced(field, "0993", "0992")),
    "another string": (line) => line.replace(order, (field) => replaced(field, "é", "è")),
    "a field that comes twice": (line) => replaced(line, order, '"order_full":{"a":1,"a":2},'),
    "no order": (line) => replaced(line, order, ""),
    "an order though it is said not to deserialize": (line) =>
      replaced(line, '"deserialized":true', '"deserialized":false'),
    "an error in a good line": (line) => replaced(line, /"error":"[^"]*",/, ""),
    "another size": (line) => replaced(line, /"message_size":\d+/, '"message_size":1'),
  };
  for (const [name, change] of Object.entries(changes)) {
    const verification = await verifyChanged(change);
    assert.deepEqual(countsOf(verification), { ...WHOLE, mismatched: 1 }, name);
  }
  const value = bytesOf("[1]");
  const noObject = recordOf(3, { value });
  const line = replaced(
    lineOf(noObject),
    /"deserialized":false,"error":"[^"]*"/,
    '"deserialized":true,"order_full":[1]',
  )
    .replace("message.received.deserialization_error", "message.received");
  const verification = await verifyInMemory(
    activeOf(LINES.with(3, line)),
    RECORDS.with(3, noObject),
  );
  assert.deepEqual(countsOf(verification), { ...WHOLE, mismatched: 1 }, "order_full of an array");
});

Deno.test("verify accepts other white space, escapes, and number notations in a line", async () => {
  const changes: Record<string, (line: string) => string> = {
    blanks: (line) => replaced(line, ',"kafka_partition":0', ' , "kafka_partition" :\t0'),
    "an escape": (line) => replaced(line, '"kafka_key":"key', '"kafka_key":"\\u006bey'),
    "another notation": (line) => replaced(line, '"kafka_partition":0', '"kafka_partition":0.0e7'),
    "an order as another program wrote it": (line) => replaced(line, '"é \\u0041\\/"', '"é A/"'),
  };
  for (const [name, change] of Object.entries(changes)) {
    const verification = await verifyChanged(change);
    assert.deepEqual(countsOf(verification), WHOLE, name);
    assert.equal(verification.ok, true, name);
  }
});

Deno.test("verify accepts an order_full written by earlier versions and counts it as undetailed", async () => {
  const nested = (depth: number) => `{"a":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
  for (
    const [value, isUndetailed] of [
      [nested(64), false],
      [nested(65), true],
      ['{"a":1,"a":2}', true],
      ['{"a":1e400}', true],
      ['{"a":"\\ud800"}', true],
    ] as const
  ) {
    const record = recordOf(3, { value: bytesOf(value) });
    const { verdict } = judgeRecord(record);
    assert.equal(verdict.leavesOrderOut, isUndetailed);
    const writer = new EventWriter();
    writer.write(record, { ...verdict, leavesOrderOut: false }, {
      receivedAt: new Date(TIMESTAMP_MS),
      topicId: TOPIC_ID,
    });
    const earlier = new TextDecoder().decode(writer.lines);
    for (const [line, undetailed] of [[earlier, isUndetailed], [lineOf(record), false]] as const) {
      const verification = await verifyInMemory(
        activeOf(LINES.with(3, line)),
        RECORDS.with(3, record),
      );
      assert.deepEqual(
        countsOf(verification),
        { ...WHOLE, ...(undetailed && { undetailed: 1 }) },
        value,
      );
      assert.equal(verification.ok, true);
    }
  }
});

Deno.test("verify counts lines without a topic id as undetailed and still compares their content", async () => {
  const without = (line: string) => replaced(line, `,"kafka_topic_id":"${TOPIC_ID}"`, "");
  const verification = await verifyInMemory(activeOf(LINES.map(without)), RECORDS);
  assert.deepEqual(countsOf(verification), { ...WHOLE, undetailed: 6 });
  assert.equal(verification.ok, true);
  assert.match(describeVerification(verification).join("\n"), /6 journal lines undetailed/);
  const changed = await verifyChanged((line) => without(replaced(line, "key 3", "key 4")));
  assert.deepEqual(countsOf(changed), { ...WHOLE, undetailed: 1, mismatched: 1 });
});

Deno.test("verify reports records that a running tracker has not yet journaled as undecided, and a gap as missing", async () => {
  const lines = LINES.slice(0, 4).toSpliced(1, 1);
  const status = (fields: Record<string, unknown>) =>
    bytesOf(JSON.stringify({
      timestamp: new Date().toISOString(),
      state: "consuming",
      topic: TOPIC,
      ...fields,
    }));
  const cases: readonly (readonly [string, Record<string, unknown>, boolean])[] = [
    ["a running tracker", {}, true],
    ["one that waits", { state: "waiting" }, true],
    ["one that ended", { state: "stopped" }, false],
    ["one that was killed", { timestamp: new Date(Date.now() - 6_000).toISOString() }, false],
    ["one of another topic", { topic: "another" }, false],
  ];
  for (const [name, fields, isRunning] of cases) {
    const files = new Map([...activeOf(lines), ["tracker.status", status(fields)]]);
    const verification = await verifyInMemory(files, RECORDS);
    const expected = isRunning
      ? { records: 4, missing: 1, undecided: 2, undecided_at_end: 2 }
      : { records: 6, missing: 3 };
    assert.deepEqual(countsOf(verification), { journals: 1, journaled: 3, ...expected }, name);
    assert.equal(verification.ok, false, name);
    const text = describeVerification(verification).join("\n");
    assert.equal(/not journaled yet, and a tracker is running/.test(text), isRunning, name);
  }
});

/** A log that lost its tail may have lost the marker that ended a transaction. */
Deno.test("verify does not judge the lines of records held back by an open transaction", async () => {
  const held = RECORDS.slice(0, 4);
  const behind = await verifyInMemory(activeOf(LINES), held, { highWatermark: RECORDS.length });
  const counts = { journals: 1, records: 4, journaled: 4 };
  assert.deepEqual(countsOf(behind), { ...counts, undecided: 2, beyond_end: 2 });
  assert.equal(behind.ok, false);
  const beyond = await verifyInMemory(activeOf(LINES), held, { highWatermark: held.length });
  assert.deepEqual(countsOf(beyond), { ...counts, journaled: 6, unexplained: 2 });
});

Deno.test("verify reports a differing line as undecided if its segment is removed before the comparison", async () => {
  const changed = LINES.with(1, replaced(LINES[1] ?? "", "key 1", "key 2"));
  const files = new Map([
    ["tracker.events.000001", bytesOf(changed.slice(0, 3).join(""))],
    ...activeOf(changed.slice(3)),
  ]);
  const whole = await verifyInMemory(files, RECORDS);
  assert.equal(whole.mismatched, 1);

  const verification = await verifyInMemory(files, RECORDS, {
    storage: memoryStorage(files),
    onProgress: ({ phase }) => {
      if (phase === "manifests") files.delete("tracker.events.000001");
    },
  });
  assert.deepEqual([verification.mismatched, verification.undecided], [0, 3]);
  assert.equal(verification.ok, false);
});

Deno.test("verify detects a line that states its value, key, or headers in two ways", async () => {
  for (
    const field of [
      `"raw_message_base64":"${Buffer.from(RECORDS[3]?.value ?? "").toString("base64")}"`,
      `"kafka_key_base64":"${Buffer.from("key 3").toString("base64")}"`,
      `"value_null":false`,
      `"mark":1`,
    ]
  ) {
    const verification = await verifyChanged((line) => replaced(line, /\}\n$/, `,${field}}\n`));
    assert.deepEqual(countsOf(verification), { ...WHOLE, mismatched: 1 }, field);
  }
});
