import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  ArchiveDamagedError,
  ArchiveReader,
  BLOCK_BYTES,
  packBlock,
} from "../../lib/journal/archive.ts";
import { joined } from "../../lib/journal/segments.ts";
import { denoStorage, readRange } from "../../lib/journal/storage.ts";
import { FaultyStorage, newSeed, seededRandom, TestFolder } from "./fixture.ts";

/** Returns compressible bytes in which no two blocks are the same. */
function textOf(byteCount: number): Uint8Array {
  const bytes = new Uint8Array(byteCount);
  const random = seededRandom(7);
  for (let at = 0; at < byteCount; at++) bytes[at] = 97 + Math.floor(random() ** 4 * 20);
  return bytes;
}

function packed(bytes: Uint8Array): Uint8Array {
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    blocks.push(packBlock(bytes.subarray(at, at + BLOCK_BYTES)));
  }
  return joined(...blocks);
}

async function openArchive(folder: TestFolder, bytes: Uint8Array): Promise<ArchiveReader> {
  const path = folder.file("archive.zst");
  Deno.writeFileSync(path, bytes);
  return await ArchiveReader.open(await denoStorage.open(path, "read"));
}

Deno.test("ArchiveReader reads the packed bytes from any position", async () => {
  using folder = new TestFolder();
  const bytes = textOf(3 * BLOCK_BYTES + 12_345);
  const archive = packed(bytes);
  assert.ok(archive.length < bytes.length / 1.5);
  const reader = await openArchive(folder, archive);
  assert.equal(reader.bytes, bytes.length);
  assert.equal((await reader.stat()).bytes, bytes.length);
  const seed = newSeed();
  const random = seededRandom(seed);
  for (let round = 0; round < 40; round++) {
    const start = Math.floor(random() * bytes.length);
    const end = start + Math.floor(random() * 2.5 * BLOCK_BYTES);
    const part = await readRange(reader, { start, end });
    const expected = bytes.subarray(start, end);
    assert.equal(part.length, expected.length);
    assert.equal(hashOf(part), hashOf(expected), `seed ${seed}: ${start} to ${end}`);
  }
  reader.close();
});

Deno.test("an archive is a single zstd file for the zstd tool", async (t) => {
  const bytes = textOf(2 * BLOCK_BYTES + 99);
  const archive = packed(bytes);
  const command = new Deno.Command("zstd", { args: ["-dc"], stdin: "piped", stdout: "piped" });
  let process;
  try {
    process = command.spawn();
  } catch {
    await t.step({ name: "SKIPPED: needs zstd on the path", ignore: true, fn() {} });
    return;
  }
  const output = process.output();
  const writer = process.stdin.getWriter();
  await writer.write(Uint8Array.from(archive));
  await writer.close();
  assert.equal(hashOf((await output).stdout), hashOf(bytes));
});

Deno.test("an archive with any byte changed, or cut anywhere, is never read as different data", async () => {
  using folder = new TestFolder();
  const bytes = textOf(BLOCK_BYTES + 5_000);
  const archive = packed(bytes);
  const seed = newSeed();
  const random = seededRandom(seed);
  const firstFrameBytes = packed(bytes.subarray(0, BLOCK_BYTES)).length;
  const places = [0, 3, 4, 8, 11, 12, 15, 16, 20, firstFrameBytes - 1, firstFrameBytes + 9];
  for (let round = 0; round < 30; round++) places.push(Math.floor(random() * archive.length));
  for (const at of places) {
    const changed = archive.with(at, (archive[at] ?? 0) ^ (1 + Math.floor(random() * 255)));
    for (const damaged of [changed, archive.subarray(0, at)]) {
      let found: Uint8Array | undefined;
      try {
        const reader = await openArchive(folder, damaged);
        found = await readRange(reader, { start: 0, end: bytes.length }).finally(() =>
          reader.close()
        );
      } catch (error) {
        assert.ok(error instanceof ArchiveDamagedError, `seed ${seed}, byte ${at}: ${error}`);
        continue;
      }
      // Cut between two blocks, which only the length reveals.
      const isWhole = damaged === changed;
      assert.ok(!isWhole && [0, firstFrameBytes].includes(damaged.length), `byte ${at}`);
      assert.equal(hashOf(found), hashOf(bytes.subarray(0, found.length)));
    }
  }
});

Deno.test("an archive whose lengths differ from its blocks' is not read", async () => {
  using folder = new TestFolder();
  const bytes = textOf(10_000);
  for (const [at, change] of [[8, 1], [8, -1], [12, 1], [12, -1]] as const) {
    const archive = packBlock(bytes);
    const header = new DataView(archive.buffer, archive.byteOffset);
    header.setUint32(at, header.getUint32(at, true) + change, true);
    const reading = async () => {
      using reader = closing(await openArchive(folder, archive));
      await readRange(reader, { start: 0, end: bytes.length + 1 });
    };
    await assert.rejects(reading(), ArchiveDamagedError, `${change} at byte ${at}`);
  }
  // An empty block, and one larger than the maximum: both headers are invalid.
  for (const blockBytes of [0, BLOCK_BYTES + 1]) {
    const archive = packBlock(bytes);
    new DataView(archive.buffer, archive.byteOffset).setUint32(12, blockBytes, true);
    await assert.rejects(openArchive(folder, archive), ArchiveDamagedError, `${blockBytes} bytes`);
  }
});

Deno.test("an archive that is cut while it is open is not read, even if only a checksum is missing", async () => {
  using folder = new TestFolder();
  const bytes = textOf(10_000);
  const archive = packBlock(bytes);
  for (const length of [archive.length - 1, archive.length - 4, archive.length / 2, 16, 0]) {
    using reader = closing(await openArchive(folder, archive));
    Deno.truncateSync(folder.file("archive.zst"), length);
    const reading = readRange(reader, { start: 0, end: bytes.length });
    await assert.rejects(reading, ArchiveDamagedError, `${length} bytes`);
  }
});

Deno.test("an unfinished archive is readable up to its last complete block, on request", async () => {
  using folder = new TestFolder();
  const path = folder.file("archive.zst");
  const bytes = textOf(BLOCK_BYTES + 5_000);
  const archive = packed(bytes);
  const firstBlockEnd = packBlock(bytes.subarray(0, BLOCK_BYTES)).length;
  const storage = new FaultyStorage();
  const lengths = [0, 7, firstBlockEnd - 1, firstBlockEnd, firstBlockEnd + 15, archive.length - 1];
  for (const length of lengths) {
    Deno.writeFileSync(path, archive.subarray(0, length));
    const isWhole = length === 0 || length === firstBlockEnd;
    const open = async (isPartial: boolean) =>
      await ArchiveReader.open(await storage.open(path, "read"), { isPartial });
    if (!isWhole) await assert.rejects(open(false), ArchiveDamagedError, `${length} bytes`);
    assert.equal(storage.openCount, 0);
    using reader = closing(await open(true));
    assert.equal(reader.bytes, length < firstBlockEnd ? 0 : BLOCK_BYTES, `${length} bytes`);
    const found = await readRange(reader, { start: 0, end: bytes.length });
    assert.equal(hashOf(found), hashOf(bytes.subarray(0, reader.bytes)));
  }
});

function closing(reader: ArchiveReader): ArchiveReader & Disposable {
  return Object.assign(reader, { [Symbol.dispose]: () => reader.close() });
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
