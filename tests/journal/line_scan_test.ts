import assert from "node:assert/strict";
import {
  classify,
  quickClassify,
  scanLines,
  type ScannedLine,
} from "../../lib/journal/line_scan.ts";
import type { ReadableFile } from "../../lib/journal/storage.ts";
import { lineOf, newSeed, partition, seededRandom, TOPIC_ID } from "./fixture.ts";

const ENCODER = new TextEncoder();

/** Returns a line as our tracker writes it, with the given text as partition and offset. */
function lineWith(partition: string, offset: string): Uint8Array {
  const line = lineOf({ topic: "orders", topicId: TOPIC_ID, partition: 7 }, 9).trimEnd();
  return ENCODER.encode(
    line.replace('"kafka_partition":7', `"kafka_partition":${partition}`)
      .replace('"kafka_offset":9', `"kafka_offset":${offset}`),
  );
}

/** A file in memory that returns at most `chunkBytes` at a time. */
function fileOf(bytes: Uint8Array, chunkBytes = bytes.length): ReadableFile {
  let position = 0;
  return {
    read: (into) => {
      const part = bytes.subarray(position, position + Math.min(into.length, chunkBytes));
      into.set(part);
      position += part.length;
      return Promise.resolve(part.length === 0 ? null : part.length);
    },
    seek: (to) => Promise.resolve(void (position = to)),
    stat: () => Promise.resolve({ bytes: bytes.length, identity: "" }),
    close: () => {},
  };
}

for (const [name, classifyLine] of Object.entries({ classify, quickClassify })) {
  Deno.test(`${name}() treats a line as a record only if its partition and offset are valid`, () => {
    const highest = String(Number.MAX_SAFE_INTEGER - 1);
    for (const offset of ["0", "41", highest]) {
      assert.deepEqual(classifyLine(lineWith("7", offset)), {
        kind: "record",
        partition: { topic: "orders", topicId: TOPIC_ID, partition: 7 },
        offset: Number(offset),
        leaderEpoch: undefined,
        timestampMs: 1756684800000,
      });
    }
    const numbers = [
      ...["-1", "0.5", '"3"', "null", "1e999", "9007199254740992", "18446744073709551616"],
      "99999999999999999999999",
    ];
    for (const number of [...numbers, "9007199254740991"]) {
      assert.deepEqual(classifyLine(lineWith("7", number)), { kind: "foreign" }, number);
    }
    for (const number of numbers) {
      assert.deepEqual(classifyLine(lineWith(number, "7")), { kind: "foreign" }, number);
    }
  });

  Deno.test(`${name}() treats a line with NUL bytes as torn, and any other invalid line as foreign`, () => {
    const lines: Readonly<Record<string, ScannedLine["kind"]>> = {
      "": "foreign",
      "hello": "foreign",
      "{}": "foreign",
      "[]": "foreign",
      '{"kafka_topic":"orders","kafka_partition":1,"kafka_offset":2}': "foreign",
      "\0": "torn",
      "\0\0\0\0": "torn",
      '{"kafka_topic":\0\0': "torn",
    };
    for (const [line, kind] of Object.entries(lines)) {
      assert.equal(classifyLine(ENCODER.encode(line)).kind, kind, line);
    }
    assert.equal(classifyLine(new Uint8Array([0xff, 0xfe])).kind, "foreign");
  });

  Deno.test(`${name}() treats a line that begins with a byte order mark as foreign`, () => {
    const line = ENCODER.encode("\ufeff" + lineOf(partition(0), 5).trimEnd());
    assert.deepEqual(classifyLine(line), { kind: "foreign" });
  });

  Deno.test(`${name}() treats a line that contains a record's line as foreign`, () => {
    const line = ENCODER.encode("x" + lineOf(partition(0), 5).trimEnd());
    assert.deepEqual(classifyLine(line), { kind: "foreign" });
  });
}

Deno.test("quickClassify() leaves a line with an unusual end to classify()", () => {
  const line = lineOf(partition(0), 5).trimEnd();
  const inside = line.replace(
    '"deserialized":false',
    '"deserialized":true,"order_full":{"kafka_timestamp":1,"kafka_topic_id":"x"}',
  );
  const withMark = line.replace(/\}$/, ',"mark":"a gap"}');
  const withoutId = lineOf({ ...partition(0), topicId: "" }, 5).trimEnd();
  for (const text of [line, inside, withMark, withoutId]) {
    const bytes = ENCODER.encode(text);
    assert.deepEqual(quickClassify(bytes), classify(bytes), text);
    assert.equal(classify(bytes).kind, "record", text);
  }
});

Deno.test("scanLines() visits each line with its position, however the reads split the file", async () => {
  const seed = newSeed();
  const random = seededRandom(seed);
  const texts = ["", "a", lineOf(partition(0), 3).trimEnd(), "\0", "é", "torn"];
  for (let round = 0; round < 200; round++) {
    const lines = Array.from(
      { length: Math.floor(random() * 6) },
      () => ENCODER.encode(texts[Math.floor(random() * texts.length)]),
    );
    const rest = ENCODER.encode(random() < 0.5 ? "" : "rest");
    const bytes = new Uint8Array([...lines.flatMap((line) => [...line, 0x0a]), ...rest]);
    const skipped = lines.length > 0 && random() < 0.5 ? 1 : 0;
    const from = skipped === 0 ? 0 : (lines[0]?.length ?? 0) + 1;
    let end = from;
    const expected = lines.slice(skipped).map((line) => {
      const start = end;
      end += line.length + 1;
      return { kind: classify(line).kind, start, end };
    });
    if (rest.length > 0) expected.push({ kind: "torn", start: end, end: bytes.length });
    const found: typeof expected = [];
    const parts: number[] = [];
    await scanLines(
      fileOf(bytes, 1 + Math.floor(random() * 20)),
      from,
      ({ kind }, place) => found.push({ kind, ...place }),
      { onBytes: (part) => parts.push(...part) },
    );
    assert.deepEqual(found, expected, `seed ${seed}`);
    assert.deepEqual(new Uint8Array(parts), bytes.subarray(from), `seed ${seed}`);
  }
});

Deno.test("classify() treats a line that is not UTF-8 as foreign", () => {
  const line = ENCODER.encode(lineOf(partition(0), 5, "value").trimEnd());
  assert.equal(classify(line).kind, "record");
  const at = new TextDecoder().decode(line).indexOf("value 5");
  assert.equal(classify(line.with(at, 0xff)).kind, "foreign");
});

Deno.test("scanLines() skips a line too long to keep, and reports only whether it is torn", async () => {
  const lineBytesMax = 100;
  const short = lineOf(partition(0), 3);
  for (const nulAt of [undefined, 5, 5_000_000]) {
    for (const isWhole of [true, false]) {
      // Longer than the buffer that lines are read into.
      const long = new Uint8Array(5_000_001).fill(0x78);
      if (nulAt !== undefined) long[nulAt] = 0;
      const parts = [ENCODER.encode("a\n"), long, ENCODER.encode(isWhole ? "\n" + short : "")];
      const bytes = new Uint8Array(await new Blob(parts.map((part) => part.slice())).arrayBuffer());
      const found: object[] = [];
      await scanLines(
        fileOf(bytes, 1_000_003),
        0,
        ({ kind }, place) => found.push({ kind, ...place }),
        {
          lineBytesMax,
        },
      );
      const end = 2 + long.length;
      const expected = isWhole
        ? [
          { kind: nulAt === undefined ? "foreign" : "torn", start: 2, end: end + 1 },
          // A line that fits the buffer is classified, although it is longer than what would be kept.
          { kind: "record", start: end + 1, end: bytes.length },
        ]
        : [{ kind: "torn", start: 2, end }];
      assert.deepEqual(found, [{ kind: "foreign", start: 0, end: 2 }, ...expected]);
    }
  }
});
