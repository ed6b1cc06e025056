import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import type { KafkaRecord } from "../../lib/record.ts";
import { describeVerification } from "../../lib/verify/report.ts";
import type { VerifyOptions } from "../../lib/verify/verify.ts";
import { newSeed, seededRandom } from "../journal/fixture.ts";
import {
  bytesOf,
  countsOf,
  createVerifySite,
  goLineOf,
  numbered,
  type VerifySite,
} from "./verify_site.ts";

const ALL_OK = { records: 10, journaled: 10, journals: 1 };

/** Sends ten records to one partition and returns them with their journal lines. */
async function tenRecords(site: VerifySite): Promise<{ records: KafkaRecord[]; lines: string[] }> {
  const records = await site.send(0, numbered(10));
  return { records, lines: records.map((record) => site.lineOf(record)) };
}

Deno.test("verifyJournals() accepts a journal that contains every record once", async () => {
  await using site = await createVerifySite({ partitions: 3 });
  const records = [
    ...await site.send(0, numbered(5_000)),
    ...await site.send(2, numbered(3_000)),
    ...await site.send(0, numbered(2_000)),
  ];
  const lines = records.map((record) => site.lineOf(record));
  site.writeJournal(lines.slice(0, 4_500), { name: "tracker.events.000001" });
  site.writeJournal(lines.slice(4_500, 7_000), { name: "tracker.events.000002" });
  const logs = site.writeJournal(lines.slice(7_000));
  const phases = new Set<string>();

  const verification = await site.verify([logs], {
    onProgress: ({ phase }) => phases.add(phase),
  });

  assert.deepEqual(countsOf(verification), { records: 10_000, journaled: 10_000, journals: 1 });
  assert.equal(verification.ok, true);
  assert.equal(verification.topic, site.topic);
  assert.equal(verification.topic_id, site.topicId);
  assert.deepEqual(
    verification.partitions.map(({ partition, records, low, high }) =>
      [partition, records, low, high].join()
    ),
    ["0,7000,0,7000", "1,0,0,0", "2,3000,0,3000"],
  );
  assert.ok(phases.has("topic"));
  assert.match(describeVerification(verification).at(-1) ?? "", /exactly once/);
});

Deno.test("verifyJournals() names the record whose line is missing", async () => {
  await using site = await createVerifySite();
  const { lines } = await tenRecords(site);
  lines.splice(4, 1);

  const verification = await site.verify([site.writeJournal(lines)]);

  assert.deepEqual(countsOf(verification), { ...ALL_OK, journaled: 9, missing: 1 });
  assert.deepEqual(verification.partitions[0]?.examples.missing, [4]);
  assert.equal(verification.ok, false);
  assert.ok(
    describeVerification(verification).some((line) => line.endsWith(`${site.topic}[0] offset 4`)),
  );
});

Deno.test("verifyJournals() names the record that is journaled twice", async () => {
  await using site = await createVerifySite();
  const { lines } = await tenRecords(site);

  const verification = await site.verify([site.writeJournal([...lines, ...lines.slice(7, 8)])]);

  assert.deepEqual(countsOf(verification), { ...ALL_OK, journaled: 11, duplicated: 1 });
  assert.deepEqual(verification.partitions[0]?.examples.duplicated, [7]);
  assert.equal(verification.ok, false);
});

Deno.test("verifyJournals() names the record whose line differs", async () => {
  await using site = await createVerifySite();
  const { records, lines } = await tenRecords(site);
  const changes: [string, Partial<KafkaRecord>][] = [
    ["one byte of the value", { value: bytesOf("value 4") }],
    ["an empty value", { value: new Uint8Array() }],
    ["no value", { value: null }],
    ["another key", { key: bytesOf("key 4") }],
    ["no key", { key: null }],
    ["another header value", { headers: [{ key: "trace", value: bytesOf("trace 4") }] }],
    ["another header name", { headers: [{ key: "tracf", value: bytesOf("trace 3") }] }],
    ["no headers", { headers: [] }],
    ["another timestamp", { timestampMs: 1 }],
  ];
  for (const [name, change] of changes) {
    const changed = lines.with(3, site.lineOf({ ...records[3] as KafkaRecord, ...change }));

    const verification = await site.verify([site.writeJournal(changed)]);

    assert.deepEqual(countsOf(verification), { ...ALL_OK, mismatched: 1 }, name);
    assert.deepEqual(verification.partitions[0]?.examples.mismatched, [3], name);
    assert.equal(verification.ok, false, name);
  }
});

Deno.test("verifyJournals() detects two records with swapped values", async () => {
  await using site = await createVerifySite();
  const { records, lines } = await tenRecords(site);
  const [first, second] = [records[2] as KafkaRecord, records[3] as KafkaRecord];
  lines[2] = site.lineOf({ ...first, value: second.value });
  lines[3] = site.lineOf({ ...second, value: first.value });

  const verification = await site.verify([site.writeJournal(lines)]);

  assert.deepEqual(countsOf(verification), { ...ALL_OK, mismatched: 2 });
});

Deno.test("verifyJournals() detects a changed line that is followed by all the correct ones", async () => {
  await using site = await createVerifySite();
  const records = await site.send(0, numbered(1_500));
  const lines = records.map((record) => site.lineOf(record));
  const changed = site.lineOf({ ...records[5] as KafkaRecord, value: bytesOf("changed") });
  // The journal runs past the page's end and back, so that the correct lines alone would yield the correct digest.
  const journal = [changed, ...lines.slice(1_400), ...lines.slice(0, 1_400)];

  const verification = await site.verify([site.writeJournal(journal)]);

  assert.deepEqual(countsOf(verification), {
    journals: 1,
    records: 1_500,
    journaled: 1_501,
    duplicated: 1,
    mismatched: 1,
    out_of_order: 1_399, // offset 5 came first
  });
});

Deno.test("verifyJournals() counts lines below the topic's first offset as expired", async () => {
  await using site = await createVerifySite();
  const { lines } = await tenRecords(site);
  await site.deleteBelow(0, 4);

  const whole = await site.verify([site.writeJournal(lines)]);
  assert.deepEqual(countsOf(whole), { ...ALL_OK, records: 6, expired: 4 });
  assert.equal(whole.ok, true);
  assert.equal(whole.partitions[0]?.low, 4);

  const cut = await site.verify([site.writeJournal(lines.slice(5))]);
  assert.deepEqual(countsOf(cut), { ...ALL_OK, records: 6, journaled: 5, missing: 1 });

  const twice = await site.verify([site.writeJournal([...lines.slice(0, 1), ...lines])]);
  assert.deepEqual(
    countsOf(twice),
    { ...ALL_OK, records: 6, journaled: 11, expired: 4, duplicated: 1 },
  );
});

Deno.test("verifyJournals() accepts that retention deletes records while it runs", async () => {
  await using site = await createVerifySite();
  const { lines } = await tenRecords(site);
  lines.splice(8, 1); // makes it read the page again, after its records were deleted
  const logs = site.writeJournal(lines);

  const verification = await site.verify([logs], {
    cluster: onceWith(site, "describeTopic", 2, () => site.deleteBelow(0, 4)),
  });

  assert.deepEqual(
    countsOf(verification),
    { ...ALL_OK, records: 6, journaled: 9, expired: 4, missing: 1 },
  );
});

Deno.test("verifyJournals() does not count transaction markers and aborted records as missing", async () => {
  await using site = await createVerifySite();
  const producers = await Promise.all(["a", "b"].map(async (name) => {
    const producer = site.kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      transactionalId: `${site.topic}-${name}`,
    });
    await producer.connect();
    return producer;
  }));
  const [a, b] = producers as [typeof producers[0], typeof producers[0]];
  const message = (value: string) => ({
    topic: site.topic,
    // kafkajs mistakes this key for an abort marker.
    messages: [{ key: Buffer.from([0, 0, 0, 0]), value, timestamp: "1756684800000" }],
  });
  const kept: string[] = [];
  for (let round = 0; round < 5; round++) {
    const aborted = await a.transaction();
    const committed = await b.transaction();
    await aborted.send(message(`aborted ${round}`));
    await committed.send(message(`kept ${round}`));
    await aborted.send(message(`aborted ${round} too`));
    // aborted, kept, aborted, marker, marker
    kept.push(`${round * 5 + 1}: kept ${round}`);
    await aborted.abort();
    await committed.commit();
  }
  const interleaved = [await a.transaction(), await b.transaction()];
  for (const transaction of interleaved) await transaction.send(message("aborted"));
  for (const transaction of interleaved) await transaction.abort();
  await Promise.all(producers.map((producer) => producer.disconnect()));

  const lines = kept.map((text) => {
    const [offset, value] = text.split(": ");
    return site.lineOf({
      topic: site.topic,
      partition: 0,
      offset: Number(offset),
      timestampMs: 1_756_684_800_000,
      key: new Uint8Array(4),
      value: bytesOf(value ?? ""),
      headers: [],
    });
  });
  const verification = await site.verify([site.writeJournal(lines)]);

  assert.deepEqual(countsOf(verification), { journals: 1, records: 5, journaled: 5 });
  assert.equal(verification.ok, true);
  assert.equal(verification.partitions[0]?.high, 29);
});

Deno.test("verifyJournals() distinguishes lines of compacted records from unexplained lines", async () => {
  for (const policy of ["compact", "compact,delete", "delete"]) {
    await using site = await createVerifySite({ config: { "cleanup.policy": policy } });
    const { records, lines } = await tenRecords(site);
    const { transaction } = await startTransaction(site);
    await transaction.send({ topic: site.topic, messages: [{ key: "aborted", value: "10" }] });
    await transaction.abort();
    // A line with an offset that the topic does not return: here, that of an aborted record.
    lines.push(site.lineOf({ ...records[0] as KafkaRecord, offset: 10 }));

    const verification = await site.verify([site.writeJournal(lines)]);

    const isCompacted = policy !== "delete";
    const kind = isCompacted ? "compacted" : "unexplained";
    assert.deepEqual(countsOf(verification), { ...ALL_OK, journaled: 11, [kind]: 1 });
    assert.deepEqual(verification.partitions[0]?.examples[kind], [10]);
    assert.equal(verification.ok, isCompacted, policy);
  }
});

async function startTransaction(site: VerifySite) {
  const producer = site.kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    transactionalId: site.topic,
  });
  await producer.connect();
  const transaction = await producer.transaction();
  return {
    transaction: {
      send: transaction.send.bind(transaction),
      abort: async () => {
        await transaction.abort();
        await producer.disconnect();
      },
    },
  };
}

Deno.test("verifyJournals() accepts the offset gaps that a real compaction leaves", async () => {
  await using site = await createVerifySite({
    config: {
      "cleanup.policy": "compact",
      "segment.ms": "100",
      "min.cleanable.dirty.ratio": "0.001",
      "max.compaction.lag.ms": "500",
    },
  });
  const keyed = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, index) => ({
      key: bytesOf(`key ${from + index}`),
      value: bytesOf("a value"),
      timestampMs: Date.now(), // determines when the broker closes segments
    }));
  const records = [
    ...await site.send(0, keyed(0, 100)),
    // Superseded are the end of the previous batch, all of this one, and the start of the next one.
    ...await site.send(0, keyed(50, 60)),
    ...await site.send(0, keyed(50, 100)),
  ];
  const logs = site.writeJournal(records.map((record) => site.lineOf(record)));
  const deadline = Date.now() + 60_000;
  let compacted = 0;
  // The broker may start compacting before the last segment is closed.
  for (let turn = 0; compacted < 60; turn++) {
    assert.ok(Date.now() < deadline, `not compacted within a minute: ${compacted} so far`);
    await new Promise((resolve) => setTimeout(resolve, 500));
    // Only closed segments are compacted, and a segment is closed by the next record.
    if (turn < 3) records.push(...await site.send(0, keyed(0, 1)));
    site.writeJournal(records.map((record) => site.lineOf(record)));
    const verification = await site.verify([logs]);
    assert.deepEqual(
      countsOf(verification),
      {
        journals: 1,
        records: records.length - verification.compacted,
        journaled: records.length,
        ...(verification.compacted > 0 && { compacted: verification.compacted }),
      },
    );
    assert.equal(verification.ok, true);
    compacted = verification.compacted;
  }
});

Deno.test("verifyJournals() verifies several journals together and names the records that two of them contain", async () => {
  await using site = await createVerifySite();
  const records = await site.send(0, numbered(3_000));
  const lines = records.map((record) => site.lineOf(record));
  const a = site.writeJournal([...lines.slice(0, 500), ...lines.slice(2_000)], { folder: "a" });
  const b = site.writeJournal(lines.slice(500, 2_000), { folder: "b" });

  const together = await site.verify([a, b, join(a, "..", "a")]);
  assert.deepEqual(countsOf(together), { journals: 2, records: 3_000, journaled: 3_000 });
  assert.equal(together.ok, true);

  const alone = await site.verify([a]);
  assert.equal(alone.missing, 1_500);
  assert.deepEqual(alone.partitions[0]?.examples.missing.slice(0, 2), [500, 501]);

  site.writeJournal(lines.slice(490, 2_000), { folder: "b" });
  const overlapping = await site.verify([a, b]);
  assert.deepEqual(countsOf(overlapping), {
    journals: 2,
    records: 3_000,
    journaled: 3_010,
    duplicated: 10,
    duplicated_across_journals: 10,
  });
  assert.equal(overlapping.ok, false);
  assert.ok(
    describeVerification(overlapping).some((line) => line.includes("between two journals")),
  );
});

Deno.test("verifyJournals() counts lines of other topics without judging them", async () => {
  await using site = await createVerifySite();
  const { records, lines } = await tenRecords(site);
  const [record] = records as [KafkaRecord];
  lines.unshift(
    site.lineOf({ ...record, topic: "another" }),
    site.lineOf({ ...record, value: null }, { topicId: "0".repeat(32) }),
    site.lineOf({ ...record, offset: 1_000_000 }, { topicId: "0".repeat(32) }),
  );

  const verification = await site.verify([site.writeJournal(lines)]);

  assert.deepEqual(countsOf(verification), { ...ALL_OK, other_topics: 3 });
  assert.equal(verification.ok, true);
});

Deno.test("verifyJournals() reads a journal of the original project's tracker, which stores values only", async () => {
  await using site = await createVerifySite();
  const { records, lines } = await tenRecords(site);
  const goLines = records.map((record) => goLineOf(record));

  const whole = await site.verify([site.writeJournal(goLines)]);
  assert.deepEqual(countsOf(whole), { ...ALL_OK, without_details: 10, undetailed: 10 });
  assert.equal(whole.ok, true);

  const mixed = await site.verify([
    site.writeJournal([...goLines.slice(0, 5), ...lines.slice(5)]),
  ]);
  assert.deepEqual(countsOf(mixed), { ...ALL_OK, without_details: 5, undetailed: 5 });

  const changed = site.lineOf({ ...records[7] as KafkaRecord, key: null });
  const broken = await site.verify([
    site.writeJournal([...goLines.slice(0, 5), ...lines.slice(5).with(2, changed)]),
  ]);
  assert.deepEqual(countsOf(broken), {
    ...ALL_OK,
    without_details: 5,
    undetailed: 5,
    mismatched: 1,
  });
  assert.deepEqual(broken.partitions[0]?.examples.mismatched, [7]);
});

Deno.test("verifyJournals() compares values of every kind byte for byte", async () => {
  await using site = await createVerifySite();
  const value = new Uint8Array(1_000_000).fill(0x01); // six times as long in JSON
  const records = [
    ...await site.send(0, [
      { value: null },
      { value: new Uint8Array() },
      { value: bytesOf("\ufeffmarked") },
      { value: bytesOf('"quoted" \\ \u0000 \u2028 \ud83d\ude00') },
      { value: Uint8Array.of(0xff, 0xfe, 0x00) },
      { key: Uint8Array.of(0xff), value: bytesOf("x") },
      { key: new Uint8Array(), value: bytesOf("x") },
      {
        value: bytesOf("x"),
        headers: [
          { key: "b", value: bytesOf("1") },
          { key: "a", value: new Uint8Array() },
          { key: "b", value: Uint8Array.of(0xff) },
        ],
      },
    ]),
    ...await site.send(0, [{ value }]),
    ...await site.send(0, [{ value: bytesOf("after") }]),
  ];
  const lines = records.map((record) => site.lineOf(record));

  const whole = await site.verify([site.writeJournal(lines)]);
  assert.deepEqual(countsOf(whole), ALL_OK);
  assert.equal(whole.ok, true);

  const changed = site.lineOf({ ...records[8] as KafkaRecord, value: value.with(999_999, 0x02) });
  const broken = await site.verify([site.writeJournal(lines.with(8, changed))]);
  assert.deepEqual(countsOf(broken), { ...ALL_OK, mismatched: 1 });
});

Deno.test("verifyJournals() ignores what is added to the topic and the journal while it runs", async () => {
  await using site = await createVerifySite();
  const { records, lines } = await tenRecords(site);
  const early = Array.from({ length: 5 }, (_, index) => index + 10)
    .map((offset) => site.lineOf({ ...records[0] as KafkaRecord, offset }));
  const logs = site.writeJournal([...lines, ...early]);

  const growing = await site.verify([logs], {
    cluster: onceWith(site, "offsets", 2, async () => void await site.send(0, numbered(3))),
  });

  assert.deepEqual(
    countsOf(growing),
    { ...ALL_OK, journaled: 12, beyond_end: 3, unexplained: 2 },
  );
  assert.deepEqual(growing.partitions[0]?.examples.unexplained, [13, 14]);
  assert.equal(growing.ok, false);
});

Deno.test("verifyJournals() counts lines of a nonexistent partition as unexplained", async () => {
  await using site = await createVerifySite();
  const { records, lines } = await tenRecords(site);
  lines.push(site.lineOf({ ...records[0] as KafkaRecord, partition: 7 }));

  const verification = await site.verify([site.writeJournal(lines)]);

  assert.deepEqual(countsOf(verification), { ...ALL_OK, journaled: 11, unexplained: 1 });
  assert.equal(verification.partitions.at(-1)?.partition, 7);
});

Deno.test("verifyJournals() verifies only the given ranges", async () => {
  await using site = await createVerifySite({ partitions: 2 });
  const { lines } = await tenRecords(site);
  const others = (await site.send(1, numbered(5))).map((record) => site.lineOf(record));
  const logs = site.writeJournal([...lines.toSpliced(0, 2), ...others]);

  const verification = await site.verify([logs], {
    ranges: new Map([[0, { start: 3, end: 8 }]]),
  });

  assert.deepEqual(
    countsOf(verification),
    { journals: 1, records: 5, journaled: 5, outside_range: 8 },
  );
  assert.equal(verification.ok, true);
  assert.equal(verification.partitions.length, 1);
});

Deno.test("verifyJournals() fails on unreadable lines and reports their position", async () => {
  await using site = await createVerifySite();
  const { lines } = await tenRecords(site);
  lines.splice(5, 0, "\u001b[2J not ours\n", "{}\n", "\n");
  const logs = site.writeJournal(lines, { name: "tracker.events.000001" });

  const verification = await site.verify([logs]);

  assert.deepEqual(countsOf(verification), { ...ALL_OK, unreadable_lines: 3 });
  assert.equal(verification.ok, false);
  assert.deepEqual(verification.unreadable[0], {
    path: join(logs, "tracker.events.000001"),
    byte: bytesOf(lines.slice(0, 5).join("")).length,
  });
});

Deno.test("verifyJournals() reports the unterminated last line of the active segment as torn bytes", async () => {
  await using site = await createVerifySite();
  const { lines } = await tenRecords(site);
  const torn = lines.with(9, lines[9]?.slice(0, -1) ?? "");
  const bytes = torn[9]?.length ?? 0;

  const active = await site.verify([site.writeJournal(torn)]);
  assert.deepEqual(
    countsOf(active),
    { ...ALL_OK, journaled: 9, missing: 1, torn_bytes: bytes },
  );

  const closed = await site.verify([
    site.writeJournal(torn, { folder: "closed", name: "tracker.events.000001" }),
  ]);
  assert.deepEqual(
    countsOf(closed),
    { ...ALL_OK, journaled: 9, missing: 1, unreadable_lines: 1 },
  );
});

Deno.test("verifyJournals() fails if the topic is recreated while it is being read", async () => {
  await using site = await createVerifySite();
  const { lines } = await tenRecords(site);
  const logs = site.writeJournal(lines);
  let count = 0;
  const cluster: VerifyOptions["cluster"] = {
    describeTopic: async (topic) => ({
      ...await site.cluster.describeTopic(topic),
      topicId: String(count++),
    }),
    offsets: (...args) => site.cluster.offsets(...args),
    topicConfig: (...args) => site.cluster.topicConfig(...args),
  };
  await assert.rejects(site.verify([logs], { cluster }), /created again while it was being read/);
});

Deno.test("verifyJournals() names what it lacks: a journal, a topic", async () => {
  await using site = await createVerifySite();
  await assert.rejects(
    site.verify([join(site.folder, "none")]),
    { message: /^no journal in ".*none": run the tracker first, or name its folder with --logs$/ },
  );
  await assert.rejects(site.verify([site.folder]), /no journal in/);
  const logs = site.writeJournal([]);
  await assert.rejects(site.verify([logs], { topic: "verify-none" }), /"verify-none" does not/);
  await assert.rejects(
    site.verify([logs], { signal: AbortSignal.abort(new Error("enough")) }),
    /enough/,
  );
});

/**
 * Goal: the verdict is correct for any combination of faults.
 * Method: one topic; journals in which lines are randomly dropped, repeated, changed, moved, put into another journal,
 * and mixed with another topic's; a model that keeps everything in a map.
 * Invariants: every count equals the model's; journaled = records - missing + duplicated + ...
 */
Deno.test("verifyJournals() agrees with an in-memory model", async () => {
  const seed = newSeed();
  const random = seededRandom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  await using site = await createVerifySite({ partitions: 2 });
  const records: KafkaRecord[] = [];
  for (let batch = 0; batch < 12; batch++) {
    records.push(...await site.send(batch % 2, numbered(100 + below(900))));
  }
  await site.deleteBelow(0, 700);
  const lows = [700, 0];

  for (let round = 0; round < 25; round++) {
    const journals: { record: KafkaRecord; isChanged: boolean }[][] = [[], []];
    let journal = 0;
    const rate = random() < 0.3 ? 0 : random() * 0.02;
    for (const record of records) {
      if (random() < 0.002) journal = 1 - journal;
      if (random() < rate) continue;
      const copies = random() < rate ? 2 : 1;
      for (let copy = 0; copy < copies; copy++) {
        const isChanged = random() < rate;
        const changed = random() < 0.5
          ? { ...record, value: bytesOf("changed") }
          : { ...record, timestampMs: 1 };
        const into = journals[copy > 0 && random() < 0.5 ? 1 - journal : journal];
        into?.push({ record: isChanged ? changed : record, isChanged });
      }
    }
    if (random() < 0.3) {
      const [lines = []] = journals;
      for (let turn = 0; turn < 20 && lines.length > 0; turn++) {
        lines.push(...lines.splice(below(lines.length), 1 + below(5)));
      }
    }
    const directories = journals.map((lines, index) =>
      site.writeJournal(
        lines.map(({ record }) => site.lineOf(record, random() < 0.1 ? {} : undefined)),
        { folder: String(index) },
      )
    );

    const expected = { missing: 0, duplicated: 0, across: 0, mismatched: 0, expired: 0 };
    let lineCount = 0;
    const linesOf = journals.map((lines) =>
      Map.groupBy(lines, ({ record }) => `${record.partition} ${record.offset}`)
    );
    for (const { partition, offset } of records) {
      const found = linesOf.map((lines) => lines.get(`${partition} ${offset}`) ?? []);
      const counts = found.map((lines) => lines.length);
      const count = counts.reduce((sum, each) => sum + each, 0);
      lineCount += count;
      expected.duplicated += Math.max(0, count - 1);
      if (counts.every((each) => each > 0)) expected.across++;
      const isExpired = offset < (lows[partition] ?? 0);
      if (isExpired && count > 0) expected.expired++;
      if (!isExpired && count === 0) expected.missing++;
      if (!isExpired && found.flat().some(({ isChanged }) => isChanged)) expected.mismatched++;
    }
    const verification = await site.verify(directories);
    const context = `seed ${seed}, round ${round}`;
    assert.deepEqual(
      {
        missing: verification.missing,
        duplicated: verification.duplicated,
        across: verification.duplicated_across_journals,
        mismatched: verification.mismatched,
        expired: verification.expired,
      },
      expected,
      context,
    );
    assert.equal(verification.journaled, lineCount, context);
    assert.equal(verification.records, records.length - 700, context);
    assert.equal(
      verification.journaled,
      verification.records - verification.missing + verification.duplicated + verification.expired,
      context,
    );
    assert.equal(verification.unexplained, 0, context);
  }
});

/** Returns the site's cluster with a hook that runs just before the nth call of a method. */
function onceWith(
  { cluster }: VerifySite,
  method: keyof VerifyOptions["cluster"],
  call: number,
  happen: () => Promise<void>,
): VerifyOptions["cluster"] {
  let calls = 0;
  const before = async (name: keyof VerifyOptions["cluster"]) => {
    if (name === method && ++calls === call) await happen();
  };
  return {
    describeTopic: async (
      ...args
    ) => (await before("describeTopic"), cluster.describeTopic(...args)),
    offsets: async (...args) => (await before("offsets"), cluster.offsets(...args)),
    topicConfig: async (...args) => (await before("topicConfig"), cluster.topicConfig(...args)),
  };
}
