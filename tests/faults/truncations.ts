/**
 * Shared by the tests of truncated logs: distinguishable records, and the expected journal after a log lost some of
 * them.
 */

import assert from "node:assert/strict";
import { JournalFiles } from "../../lib/journal/journal_files.ts";
import { journaledRecord, type JournalLine, readTopic, type Site } from "../site.ts";
import { assertAllCommitted, logged, marksOf, nameOf } from "./fault_site.ts";

/** The number of records in one send, which is one batch in the log. */
const BATCH = 100;

export async function send(
  site: Site,
  { partition, count, tag, batch = BATCH }: {
    readonly partition: number;
    readonly count: number;
    readonly tag: string;
    readonly batch?: number;
  },
): Promise<void> {
  const producer = site.kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  for (let sent = 0; sent < count; sent += batch) {
    const length = Math.min(batch, count - sent);
    const values = Array.from({ length }, (_, index) => `${tag} ${sent + index}`);
    const messages = values.map((value) => ({ partition, value }));
    await producer.send({ topic: site.topic, acks: -1, messages });
  }
  await producer.disconnect();
}

/** A truncation that the journal must reflect. */
export interface Truncation {
  readonly partition: number;
  readonly offset: number;
  /** The number of journaled records that were replaced or removed. */
  readonly superseded: number;
  /** The old epoch in the mark; by default that of the superseded line at this offset. */
  readonly oldEpoch?: string;
}

/**
 * Asserts that each record of the topic is in the journal once, that all other lines are superseded, and that the
 * first replacement of a superseded line is marked with partition, offset, and both epochs, and reported by a WARN.
 * Commits must be the topic's ends.
 *
 * @param truncations in order within each partition; no other partition has marks or superseded lines.
 */
export async function assertTruncated(
  site: Site,
  truncations: readonly Truncation[],
): Promise<void> {
  const lines = await linesOf(site.logs);
  const topic = await readTopic(site);
  const current = new Map(topic.map((record) => [nameOf(record), record.valueHash]));
  const isCurrent = (line: JournalLine) => {
    const record = journaledRecord(line);
    return current.get(nameOf(record)) === record.valueHash;
  };
  const names = lines.filter(isCurrent).map((line) => nameOf(journaledRecord(line)));
  assert.equal(new Set(names).size, names.length, "no record is journaled twice");
  assert.equal(names.length, topic.length, "each record is journaled");
  const superseded = truncations.reduce((sum, each) => sum + each.superseded, 0);
  assert.equal(lines.length - topic.length, superseded, "superseded lines");
  const marks = marksOf(lines).filter(({ mark }) => /truncated/.test(mark));
  assert.deepEqual(byPartition(marks), byPartition(truncations.map((it) => markOf(lines, it))));
  await assertAllCommitted(site);
  const warned = logged(site.logs, /truncated/)
    .map(({ level, metadata }) => `${level} ${metadata?.["partition"]} ${metadata?.["offset"]}`);
  const expected = truncations.map(({ partition, offset }) => `WARN ${partition} ${offset}`);
  assert.deepEqual(warned.toSorted(), expected.toSorted());
  const { code, stdout, stderr } = await site.run("tracker", ["verify", "--json"]);
  const verified = JSON.parse(stdout || "{}");
  assert.deepEqual(
    [code, verified.ok, verified.superseded, verified.journaled],
    [0, true, superseded, topic.length],
    stdout + stderr,
  );
}

function byPartition<Item extends { readonly partition: number }>(
  items: readonly Item[],
): readonly Item[] {
  return items.toSorted((a, b) => a.partition - b.partition);
}

function markOf(
  lines: readonly JournalLine[],
  { partition, offset, oldEpoch }: Truncation,
): ReturnType<typeof marksOf>[number] {
  const [old, first] = lines.filter((line) =>
    line.kafka_partition === partition && line.kafka_offset === offset
  );
  assert.ok(old !== undefined && first !== undefined);
  const from = oldEpoch ?? old["kafka_leader_epoch"];
  const to = first["kafka_leader_epoch"];
  if (oldEpoch === undefined) assert.ok(Number(to) > Number(from), "the epoch increased");
  return {
    partition,
    offset,
    mark: `partition ${partition} was truncated at offset ${offset}: its records of leader ` +
      `epoch ${from} were replaced in leader epoch ${to}`,
  };
}

/** Returns all lines of a journal in order, including those of compressed segments. */
export async function linesOf(logs: string): Promise<readonly JournalLine[]> {
  const found: JournalLine[] = [];
  using files = await JournalFiles.open([logs]);
  for await (const { lines } of files.readAll()) {
    for (const { bytes } of lines) found.push(JSON.parse(new TextDecoder().decode(bytes)));
  }
  return found;
}
