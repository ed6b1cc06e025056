import assert from "node:assert/strict";
import type { JournalAppend } from "../../lib/journal/append_queue.ts";
import { checkManifests } from "../../lib/journal/manifest_check.ts";
import { splitAppend } from "../../lib/journal/split_append.ts";
import {
  appendOf,
  encodedLines,
  lineOf,
  namesOf,
  opened,
  partition,
  recordsInFolder,
  TestFolder,
} from "./fixture.ts";

const LINE_BYTES = lineOf(partition(0), 10).length;

/**
 * Returns an append of offsets 10, 12, 14, ... in epochs 3 (from 10) and 5 (from 15); the offsets in between do not
 * exist.
 */
function everySecondOffset(count: number): JournalAppend {
  const lines = Array.from({ length: count }, (_, index) => lineOf(partition(0), 10 + 2 * index));
  return {
    ...partition(0),
    intervals: [{ start: 9, end: 10 + 2 * count }],
    epochs: [{ epoch: 3, start: 9 }, { epoch: 5, start: 15 }],
    ...encodedLines(lines),
  };
}

Deno.test("splitAppend() cuts at the last line end that fits, and each offset is held by one part", () => {
  const append = everySecondOffset(5);
  for (let bytesMax = 0; bytesMax <= 6 * LINE_BYTES; bytesMax += LINE_BYTES / 2) {
    const parts = splitAppend(append, bytesMax);
    const count = Math.max(1, Math.floor(bytesMax / LINE_BYTES));
    if (count >= 5) {
      assert.equal(parts, undefined);
      continue;
    }
    assert.ok(parts !== undefined);
    const [head, tail] = parts;
    assert.equal(head.lines.length, count * LINE_BYTES);
    assert.deepEqual([...head.lines, ...tail.lines], [...append.lines]);
    assert.deepEqual([head.lineEnds.length, tail.lineEnds.length], [count, 5 - count]);
    assert.equal(tail.lineEnds[tail.lineEnds.length - 1], tail.lines.length);
    const boundary = 10 + 2 * (count - 1) + 1;
    assert.deepEqual(head.intervals, [{ start: 9, end: boundary }]);
    assert.deepEqual(tail.intervals, [{ start: boundary, end: 20 }]);
  }
});

Deno.test("splitAppend() does not split an append with a line that is not a record's", () => {
  const append = { ...everySecondOffset(3), ...encodedLines(["a\n", "b\n", "c\n"]) };
  assert.equal(splitAppend(append, 2), undefined);
});

Deno.test("no segment exceeds its size, whatever the size of an append, except for a single line", async () => {
  for (const rotateBytes of [3 * LINE_BYTES, 4 * LINE_BYTES - 1, LINE_BYTES, LINE_BYTES - 1]) {
    using folder = new TestFolder();
    {
      await using it = await opened(folder, { rotateBytes });
      await it.journal.append(appendOf(0, { start: 10, end: 11 }));
      await Promise.all([
        it.journal.append(appendOf(0, { start: 11, end: 61 })),
        it.journal.append(appendOf(1, { start: 10, end: 40 })),
      ]);
    }
    const linesMax = Math.max(1, Math.floor(rotateBytes / LINE_BYTES));
    const sizes = folder.names("tracker.events").map((name) =>
      Deno.statSync(folder.file(name)).size / LINE_BYTES
    );
    assert.ok(sizes.every((size) => size <= linesMax), String(sizes));
    // Two appends that are larger than a segment leave space in at most two segments.
    assert.ok(sizes.length <= Math.ceil(81 / linesMax) + 2, String(sizes));
    const expected = [
      ...namesOf(0, { start: 10, end: 61 }),
      ...namesOf(1, { start: 10, end: 40 }),
    ];
    assert.deepEqual(recordsInFolder(folder).records.toSorted(), expected.toSorted());
    const { segments } = await checkManifests(folder.path);
    assert.deepEqual(segments.filter(({ ok }) => !ok), []);
    await using it = await opened(folder, { rotateBytes });
    assert.deepEqual(it.journal.heldIntervals(partition(0)), [{ start: 10, end: 61 }]);
    assert.deepEqual(it.journal.heldIntervals(partition(1)), [{ start: 10, end: 40 }]);
  }
});

Deno.test("a split append is held with its epochs and with offsets that do not exist", async () => {
  using folder = new TestFolder();
  const held = [{ start: 9, end: 22 }];
  const epochs = [{ epoch: 3, start: 9 }, { epoch: 5, start: 15 }];
  for (let openCount = 0; openCount < 2; openCount++) {
    await using it = await opened(folder, { rotateBytes: 2 * LINE_BYTES });
    if (openCount === 0) await it.journal.append(everySecondOffset(6));
    assert.deepEqual(it.journal.heldIntervals(partition(0)), held);
    assert.deepEqual(it.journal.heldEpochs(partition(0)), epochs);
  }
});
