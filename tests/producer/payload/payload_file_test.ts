import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { PayloadFile } from "../../../lib/producer/payload/payload_file.ts";
import { Random } from "../../../lib/shop/random.ts";

const NEWLINE = Buffer.from("\n");

async function withFile(
  content: string | Uint8Array,
  test: (path: string) => void | Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-payload-" });
  const path = join(folder, "records");
  await Deno.writeFile(path, Buffer.from(content));
  try {
    await test(path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function take(file: PayloadFile, count: number): Buffer[] {
  return Array.from({ length: count }, () => Buffer.from(file.next().value ?? "null"));
}

for (const [kind, wholeBytesMax] of [["read once", 1e6], ["read in pieces", 0]] as const) {
  Deno.test(`PayloadFile (${kind}) repeats the file's records, with or without a trailing delimiter`, async () => {
    for (const content of ["one\n\nthree\n", "one\n\nthree"]) {
      await withFile(content, (path) => {
        using file = new PayloadFile({ path, delimiter: NEWLINE, wholeBytesMax });
        assert.deepEqual(take(file, 7).map(String), [
          ...["one", "", "three", "one", "", "three", "one"],
        ]);
      });
    }
  });

  Deno.test(`PayloadFile (${kind}) preserves every byte: invalid UTF-8, byte order marks, carriage returns`, async () => {
    const records = [Buffer.from([0xff, 0, 0xfe]), Buffer.from("\ufeffmark"), Buffer.from("cr\r")];
    const content = Buffer.concat(records.flatMap((record) => [record, NEWLINE]));
    await withFile(content, (path) => {
      using file = new PayloadFile({ path, delimiter: NEWLINE, wholeBytesMax });
      assert.deepEqual(take(file, 3), records);
      assert.equal(file.hasCarriageReturns, false, "the first record has none");
    });
  });
}

Deno.test("PayloadFile finds delimiters and records that cross its read boundaries at any position", async () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  const random = new Random(seed);
  const delimiter = Buffer.from("<--->");
  const records = Array.from({ length: 60 }, (_, index) => {
    const length = index === 30 ? 1_500_000 : Math.floor(random.unit() * 30_000);
    // Prefixes of the delimiter everywhere.
    return Buffer.from(`${index}${"<--".repeat(length / 3)}`);
  });
  const content = Buffer.concat(records.flatMap((record) => [record, delimiter]));
  await withFile(content, (path) => {
    using file = new PayloadFile({ path, delimiter, wholeBytesMax: 0 });
    for (const [index, record] of [...records, ...records].entries()) {
      const value = Buffer.from(file.next().value ?? "");
      assert.ok(value.equals(record), `seed ${seed}, record ${index}`);
    }
  });
});

Deno.test("PayloadFile rejects a source without records: an empty file, one of newlines only, a folder", async () => {
  for (const [content, message] of [["", "it is empty"], ["\n\n", /only empty records/]] as const) {
    await withFile(content, (path) => {
      assert.throws(() => new PayloadFile({ path, delimiter: NEWLINE }), {
        name: "PayloadError",
        message,
      });
    });
  }
  await withFile("", (path) => {
    assert.throws(() => new PayloadFile({ path: join(path, ".."), delimiter: NEWLINE }), {
      message: "it is not a regular file",
    });
  });
});

Deno.test("PayloadFile fails if the file is emptied while it is read, instead of searching forever", async () => {
  await withFile("one\ntwo\n", (path) => {
    using file = new PayloadFile({ path, delimiter: NEWLINE, wholeBytesMax: 0 });
    take(file, 1);
    Deno.truncateSync(path);
    assert.throws(() => take(file, 10), { name: "PayloadError", message: "the file is empty now" });
  });
});

Deno.test("PayloadFile detects carriage returns if records are delimited by newlines only", async () => {
  await withFile("one\r\ntwo\r\n", (path) => {
    using lines = new PayloadFile({ path, delimiter: NEWLINE });
    assert.ok(lines.hasCarriageReturns);
    using records = new PayloadFile({ path, delimiter: Buffer.from("\r\n") });
    assert.ok(!records.hasCarriageReturns);
    assert.deepEqual(take(records, 3).map(String), ["one", "two", "one"]);
  });
});
