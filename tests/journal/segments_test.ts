import assert from "node:assert/strict";
import { fingerprint, listSegments, SegmentEdges, sha256 } from "../../lib/journal/segments.ts";
import { denoStorage, type Storage } from "../../lib/journal/storage.ts";
import { newSeed, seededRandom, TestFolder } from "./fixture.ts";

const EDGE_BYTES = 4096;

/** Creates files that contain their own names, and lists the segments. */
async function listOf(names: readonly string[], storage: Storage = denoStorage) {
  using folder = new TestFolder();
  for (const name of names) Deno.writeTextFileSync(folder.file(name), name);
  const list = await listSegments(storage, folder.path);
  const named = (path: string) => path.slice(folder.path.length + 1);
  return {
    ...list,
    closed: list.closed.map(({ number, path, bytes }) => [number, named(path), bytes]),
    archived: Array.from(list.archived, ([number, path]) => [number, named(path)]),
    leftovers: list.leftovers.map(named),
  };
}

Deno.test("listSegments() lists segments by number, even beyond a million, and no other file", async () => {
  const { closed, nextNumber, active } = await listOf([
    "tracker.events.1000000",
    "tracker.events.999999",
    "tracker.events.000002",
    "tracker.events.000001",
    // None of these is a segment.
    "tracker.events.00003",
    "tracker.events.000004.zst",
    "tracker.events.000005.bak",
    "tracker.events.old",
    "a-tracker.events.000006",
    "tracker.event.000007",
    "tracker.events.000008~",
  ]);
  assert.deepEqual(closed, [
    [1, "tracker.events.000001", 21],
    [2, "tracker.events.000002", 21],
    [999_999, "tracker.events.999999", 21],
    [1_000_000, "tracker.events.1000000", 22],
  ]);
  assert.equal(nextNumber, 1_000_001);
  assert.equal(active, undefined);
});

Deno.test("listSegments() lists a segment's archive only if the segment itself is gone", async () => {
  const { closed, archived, leftovers, active } = await listOf([
    "tracker.archive.000001.zst",
    "tracker.archive.000002.zst",
    "tracker.archive.000003.zst.new",
    "tracker.archive.000004",
    "tracker.events",
    "tracker.events.000002",
    "tracker.manifest.000001.json.new",
  ]);
  assert.deepEqual(archived, [[1, "tracker.archive.000001.zst"]]);
  assert.deepEqual(closed, [[2, "tracker.events.000002", 21]]);
  assert.deepEqual(leftovers, ["tracker.archive.000003.zst.new"]);
  assert.equal(active?.bytes, 14);
});

Deno.test("listSegments() numbers the next segment above every existing file", async () => {
  for (const kind of ["events", "archive", "manifest", "removed"]) {
    for (const ending of ["", ".zst", ".json", ".json.new", ".zst.new"]) {
      const names = [`tracker.${kind}.000007${ending}`, "tracker.events.000003"];
      assert.equal((await listOf(names)).nextNumber, 8, names[0]);
    }
  }
  assert.equal((await listOf([])).nextNumber, 1);
});

Deno.test("listSegments() skips a segment that disappears during the listing", async () => {
  const { closed } = await listOf(["tracker.events.000001", "tracker.events.000002"], {
    ...denoStorage,
    stat: (path) => path.endsWith("1") ? Promise.resolve(undefined) : denoStorage.stat(path),
  });
  assert.deepEqual(closed, [[2, "tracker.events.000002", 21]]);
});

Deno.test("SegmentEdges are the same whether appended in parts or read, whatever the parts", async () => {
  const seed = newSeed();
  const random = seededRandom(seed);
  using folder = new TestFolder();
  const path = folder.file("a");
  for (let round = 0; round < 60; round++) {
    // First lines shorter than, equal to, and longer than the part that is kept.
    const firstBytes = [1, 100, EDGE_BYTES - 1, EDGE_BYTES, EDGE_BYTES + 1, 9_000][round % 6] ?? 1;
    const text = "a".repeat(firstBytes) + "\n" +
      Array.from(
        { length: Math.floor(random() * 8_000) },
        (_, index) => index % 90 === 7 ? "\n" : "b",
      )
        .join("");
    const bytes = new TextEncoder().encode(text);
    const edges = new SegmentEdges();
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + Math.floor(random() ** 3 * 6_000);
      edges.append(bytes.subarray(at, end));
      at = end;
    }
    assert.deepEqual(edges.tail, bytes.slice(-EDGE_BYTES), `seed ${seed}`);
    const first = bytes.slice(0, firstBytes + 1).subarray(0, EDGE_BYTES);
    assert.deepEqual(edges.head, first, `seed ${seed}`);
    Deno.writeFileSync(path, bytes);
    const file = await denoStorage.open(path, "read");
    const read = await SegmentEdges.read(file, bytes.length);
    file.close();
    assert.deepEqual(fingerprint(read), fingerprint(edges));
    assert.deepEqual(fingerprint(read), {
      headSha256: sha256(first),
      tailSha256: sha256(bytes.subarray(-EDGE_BYTES)),
    });
  }
});

Deno.test("SegmentEdges.read() reads only what is before the position", async () => {
  using folder = new TestFolder();
  const path = folder.file("a");
  const text = "first\nsecond\n" + "x".repeat(EDGE_BYTES) + "\nlast\n";
  Deno.writeTextFileSync(path, text);
  const file = await denoStorage.open(path, "read");
  for (const position of [0, 3, 6, 10, 13, EDGE_BYTES, EDGE_BYTES + 5, text.length]) {
    const { head, tail } = await SegmentEdges.read(file, position);
    assert.equal(new TextDecoder().decode(head), text.slice(0, Math.min(position, 6)));
    const start = Math.max(0, position - EDGE_BYTES);
    assert.equal(new TextDecoder().decode(tail), text.slice(start, position));
  }
  file.close();
});
