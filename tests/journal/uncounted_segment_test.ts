import assert from "node:assert/strict";
import { encodeSealed } from "../../lib/journal/sealed_text.ts";
import { appendOf, opened, partition, TestFolder } from "./fixture.ts";

Deno.test("appended records are held even if the active segment's lines have not been counted", async () => {
  using folder = new TestFolder();
  {
    await using first = await opened(folder);
    await first.journal.append(appendOf(0, { start: 0, end: 10 }));
  }
  // If the segment contains foreign lines, the checkpoint has no account of it.
  const { version, body: { active: _, ...body } } = JSON.parse(
    Deno.readTextFileSync(folder.checkpoint),
  );
  Deno.writeTextFileSync(folder.checkpoint, encodeSealed(body, { version }));
  for (let start = 10; start < 40; start += 10) {
    await using next = await opened(folder);
    assert.equal(next.journal.end(partition(0)), start);
    await next.journal.append(appendOf(0, { start, end: start + 10 }));
    assert.equal(next.journal.end(partition(0)), start + 10);
  }
});
