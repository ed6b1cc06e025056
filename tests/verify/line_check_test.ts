import assert from "node:assert/strict";
import { join } from "node:path";
import { EventWriter } from "../../lib/journal/line.ts";
import { LineChecker } from "../../lib/verify/line_check.ts";

const FIXTURES = join(import.meta.dirname ?? ".", "..", "fixtures");
const bytesOf = (text: string) => new TextEncoder().encode(text);

/** Counts the lines of a file by form. */
function formsIn(path: string): Record<string, number> {
  const checker = new LineChecker();
  const forms: Record<string, number> = {};
  for (const line of Deno.readTextFileSync(path).trimEnd().split("\n")) {
    const { form } = checker.check(bytesOf(line));
    forms[form] = (forms[form] ?? 0) + 1;
  }
  return forms;
}

Deno.test("LineChecker classifies an earlier version's lines as whole", () => {
  const folder = join(FIXTURES, "journal", "build-3a9cbbd");
  for (const { name } of Deno.readDirSync(folder)) {
    if (!name.startsWith("tracker.events")) continue;
    assert.deepEqual(Object.keys(formsIn(join(folder, name))), ["whole"], name);
  }
});

Deno.test("LineChecker classifies the Go tracker's lines as undetailed", () => {
  const path = join(FIXTURES, "monitor", "go", "tracker.events");
  assert.deepEqual(Object.keys(formsIn(path)), ["undetailed"]);
});

Deno.test("LineChecker classifies a line of any length as whole, and as wrong after a one-byte change", () => {
  const checker = new LineChecker();
  for (const size of [0, 1, 10_000, 70_000, 3_000_000]) {
    const value = new Uint8Array(size).map((_, index) => index % 127);
    const writer = new EventWriter();
    writer.write(
      { topic: "t", partition: 0, offset: 1, timestampMs: 2, key: null, value, headers: [] },
      { eventType: "message.received", isText: true, deserialized: false },
      { receivedAt: new Date(3), topicId: "0".repeat(32) },
    );
    const line = writer.lines.slice(0, -1);
    assert.equal(checker.check(line).form, "whole", `${size} bytes`);
    const changed = new TextDecoder().decode(line).replace(/"message_size":/, '"message_sizf":');
    assert.equal(checker.check(bytesOf(changed)).form, "wrong", `${size} bytes`);
  }
});
