/**
 * Goal: no damage to a journal passes verify.
 * Method: a small journal has a line of every kind in an archive, a closed segment, and the active segment. At every
 * byte of every file, a bit is flipped, or the byte is deleted, duplicated, or swapped with the next one. Each line is
 * deleted, duplicated, and swapped with the next one. The damaged journal is verified in memory.
 * Invariants: verify accepts a journal exactly if a model says that the damage changes nothing. The model compares lines
 * as parsed by JSON.parse, and closed segments by their bytes.
 */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { isDeepStrictEqual } from "node:util";
import type { KafkaRecord } from "../../lib/record.ts";
import { EventWriter } from "../../lib/journal/line.ts";
import { ArchiveReader } from "../../lib/journal/archive.ts";
import { readRange } from "../../lib/journal/storage.ts";
import { judgeRecord } from "../../lib/tracker/judge.ts";
import {
  encodedLines,
  newSeed,
  opened,
  seededRandom,
  TestFolder,
  until,
} from "../journal/fixture.ts";
import { type MemoryFiles, memoryStorage, TOPIC, TOPIC_ID, verifyInMemory } from "./memory_site.ts";

const IS_LONG = Deno.env.get("ORDERFLOW_FAULTS") === "long";
/** The short form damages one byte out of this many, at a random phase. */
const STEP = IS_LONG ? 1 : 3;
const TIMESTAMP_MS = 1_756_684_800_000;
const DECODER = new TextDecoder();
const STRICT_DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const bytesOf = (text: string) => new TextEncoder().encode(text);

const ORDER = JSON.stringify({
  order_id: "5f0c2f5e-0000-4000-8000-000000000000",
  sequence: 1,
  status: "pending",
  items: [{ item_id: "1", item_name: "é\n", quantity: 2, unit_price: 1.25, total_price: 2.5 }],
  sub_total: 2.5,
  total: 2.5,
});

function record(
  partition: number,
  offset: number,
  { leaderEpoch = 1, ...fields }: Partial<KafkaRecord>,
): KafkaRecord {
  return {
    topic: TOPIC,
    partition,
    offset,
    timestampMs: TIMESTAMP_MS + offset,
    key: null,
    value: bytesOf("no order"),
    headers: [],
    leaderEpoch,
    ...fields,
  };
}

/** Lost when the log of partition 0 was truncated at offset 2. */
const SUPERSEDED = record(0, 2, { value: bytesOf("lost") });
const RECORDS: readonly KafkaRecord[] = [
  record(0, 0, { value: bytesOf(ORDER), key: bytesOf("key") }),
  record(0, 1, { value: null, key: new Uint8Array() }),
  record(0, 2, { leaderEpoch: 3, value: bytesOf('{\t"a":\r\n[1.5]}') }),
  record(0, 3, {
    leaderEpoch: 3,
    value: Uint8Array.of(0xff, 0x22),
    key: Uint8Array.of(0xfe),
    headers: [
      { key: "b", value: bytesOf("1") },
      { key: "a", value: null },
      { key: "b", value: Uint8Array.of(0xff) },
    ],
  }),
  record(0, 5, { leaderEpoch: 3, timestampMs: 2 ** 62, exactTimestampMs: 2n ** 62n + 1n }),
  record(0, 6, { leaderEpoch: 3, value: null, omittedValue: { size: 7, sha256: "ab" } }),
  record(1, 0, { value: bytesOf('{"deep":' + "[".repeat(64) + "]".repeat(64) + "}") }),
  record(1, 1, {}),
];

function lineOf(record: KafkaRecord): string {
  const writer = new EventWriter();
  writer.write(record, judgeRecord(record).verdict, {
    receivedAt: new Date(TIMESTAMP_MS),
    topicId: TOPIC_ID,
    ...(record.offset === SUPERSEDED.offset && { mark: "the log was truncated" }),
  });
  return DECODER.decode(writer.lines);
}

const at = (partition: number, offset: number) => {
  const found = RECORDS.find((each) => each.partition === partition && each.offset === offset);
  assert.ok(found);
  return found;
};
const APPENDS: readonly (readonly KafkaRecord[])[] = [
  [at(0, 0), at(0, 1), SUPERSEDED],
  [at(0, 2), at(0, 3)],
  [at(0, 5), at(0, 6)],
];
const ACTIVE = "tracker.events";

/**
 * Returns the files that the real journal writes for the records: one append per segment, the first segment compressed.
 */
async function journalFiles(): Promise<MemoryFiles> {
  using folder = new TestFolder();
  for (const [index, appends] of APPENDS.entries()) {
    // An append that would exceed this size closes the segment first.
    await using it = await opened(folder, { rotateBytes: 1, compress: index === 1 });
    const { journal } = it;
    const partition = { topic: TOPIC, topicId: TOPIC_ID, partition: 0 };
    if (index === 1) await journal.truncate(partition, SUPERSEDED.offset);
    await journal.append({
      ...partition,
      intervals: appends.map(({ offset }) => ({ start: offset, end: offset + 1 })),
      epochs: [],
      ...encodedLines(appends.map((each) => lineOf(each))),
    });
    await until(() => index !== 1 || folder.names("tracker.events.").length === 0);
  }
  const names = folder.names("tracker.").filter((name) => /events|archive|manifest/.test(name));
  const files = new Map(names.map((name) => [name, Deno.readFileSync(folder.file(name))]));
  // Lines of two partitions are interleaved.
  const [first = "", ...rest] = linesIn(files.get(ACTIVE) ?? new Uint8Array());
  const lines = [first, lineOf(at(1, 0)), ...rest, lineOf(at(1, 1))];
  return files.set(ACTIVE, bytesOf(lines.join("")));
}

function linesIn(bytes: Uint8Array): readonly string[] {
  return DECODER.decode(bytes).split(/(?<=\n)/);
}

interface Damage {
  readonly name: string;
  readonly file: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Yields for each byte: each bit flipped, the byte deleted, duplicated, and swapped with the next one. */
function* damagesOfBytes(
  file: string,
  bytes: Uint8Array,
  { first, choose }: {
    readonly first: number;
    readonly choose: <T>(all: readonly T[]) => readonly T[];
  },
): Generator<Damage> {
  for (let at = first; at < bytes.length; at += STEP) {
    const [before, here, after] = [
      bytes.slice(0, at),
      bytes.slice(at, at + 1),
      bytes.slice(at + 1),
    ];
    const forms: (readonly [string, () => Uint8Array<ArrayBuffer>])[] = [
      ...choose([0, 1, 2, 3, 4, 5, 6, 7]).map((bit) =>
        [`bit ${bit} flipped`, () => bytes.with(at, (bytes[at] ?? 0) ^ (1 << bit))] as const
      ),
      ["deleted", () => joined(before, after)],
      ["doubled", () => joined(before, here, here, after)],
      ["swapped with the next", () => joined(before, after.slice(0, 1), here, after.slice(1))],
    ];
    for (const [form, damaged] of choose(forms)) {
      yield { name: `byte ${at} ${form}`, file, bytes: damaged() };
    }
  }
}

/** Yields for each line: the line deleted, duplicated, and swapped with the next one. */
function* damagesOfLines(file: string, bytes: Uint8Array): Generator<Damage> {
  const lines = linesIn(bytes);
  for (const [index, line] of lines.entries()) {
    const forms = {
      deleted: lines.toSpliced(index, 1),
      doubled: lines.toSpliced(index, 0, line),
      "swapped with the next": lines.toSpliced(
        index,
        2,
        ...lines.slice(index, index + 2).reverse(),
      ),
    };
    for (const [form, changed] of Object.entries(forms)) {
      yield { name: `line ${index} ${form}`, file, bytes: bytesOf(changed.join("")) };
    }
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** Reports whether verify must accept a damaged file because nothing that it checks has changed. */
async function isHarmless({ file, bytes }: Damage, original: Uint8Array): Promise<boolean> {
  if (file.endsWith(".zst")) return await unpacked(bytes) === await unpacked(original);
  if (file !== ACTIVE) return Buffer.compare(bytes, original) === 0;
  return isSameInMeaning(bytes, original);
}

/** Returns the contents of an archive, or why it cannot be read. */
async function unpacked(bytes: Uint8Array): Promise<string> {
  try {
    const file = await memoryStorage(new Map([["archive", bytes]])).open("archive", "read");
    const archive = await ArchiveReader.open(file);
    return DECODER.decode(await readRange(archive, { start: 0, end: archive.bytes }));
  } catch (error) {
    return `${error}`;
  }
}

/** Compares the active segment line by line; lines of different partitions may be interleaved in any order. */
function isSameInMeaning(bytes: Uint8Array, original: Uint8Array): boolean {
  try {
    const [lines, originalLines] = [bytes, original].map((each) =>
      Map.groupBy(
        STRICT_DECODER.decode(each).split("\n").map((line) => line === "" ? {} : meaningOf(line)),
        (line) => line["kafka_partition"],
      )
    );
    return isDeepStrictEqual(lines, originalLines);
  } catch {
    return false;
  }
}

/** Parses a line with JSON.parse. Of the fields that verify does not check, only the form is kept. */
function meaningOf(line: string): Record<string, unknown> {
  const { timestamp, error, mark, ...fields } = JSON.parse(line);
  return {
    ...fields,
    hasTimestamp: new Date(timestamp).toISOString() === timestamp,
    error: typeof error,
    mark: typeof mark,
  };
}

const FAULTS = [
  "missing",
  "duplicated",
  "mismatched",
  "out_of_order",
  "unexplained",
  "unreadable_lines",
] as const;

Deno.test("verify detects every change of a byte or line in a journal, and accepts changes without effect", async () => {
  const seed = newSeed();
  const random = seededRandom(seed);
  /** Returns all variants of the damage in the long form, else a random one. */
  const choose = <T>(all: readonly T[]) =>
    IS_LONG ? all : all.slice(...[Math.floor(random() * all.length)].flatMap((at) => [at, at + 1]));
  const files = await journalFiles();
  const untouched = await verifyInMemory(files, RECORDS);
  assert.equal(untouched.ok, true);
  assert.deepEqual(
    [untouched.records, untouched.journaled, untouched.superseded, untouched.undetailed],
    [RECORDS.length, RECORDS.length, 1, 0],
  );

  const verdicts = { harmless: 0, found: 0 };
  for (const [file, original] of files) {
    const isText = !file.endsWith(".zst") && !file.endsWith(".json");
    const damages = [
      ...damagesOfBytes(file, original, { first: Math.floor(random() * STEP), choose }),
      ...(isText ? damagesOfLines(file, original) : []),
    ];
    for (const damage of damages) {
      const expected = await isHarmless(damage, original);
      const verification = await verifyInMemory(
        new Map([...files, [file, damage.bytes]]),
        RECORDS,
      );
      const context = () =>
        `seed ${seed}: ${file}, ${damage.name}:\n${JSON.stringify(verification)}`;
      assert.equal(verification.ok, expected, context());
      verdicts[expected ? "harmless" : "found"]++;
      const isNamed = FAULTS.some((fault) => verification[fault] > 0) ||
        verification.segments.some(({ ok }) => !ok);
      assert.equal(isNamed, !expected, context());
    }
  }
  assert.ok(
    verdicts.harmless > 50 / STEP && verdicts.found > 4_000 / STEP,
    JSON.stringify(verdicts),
  );
});
