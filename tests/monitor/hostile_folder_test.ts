import assert from "node:assert/strict";
import { join } from "node:path";
import { packBlock } from "../../lib/journal/archive.ts";
import { Follower } from "../../lib/monitor/follow.ts";
import { LineBuffer } from "../../lib/monitor/tail/line_buffer.ts";
import { formatText } from "../../lib/monitor/views/text_view.ts";
import { journalLine } from "./journal_lines.ts";
import { Logs } from "./logs.ts";

const ENCODER = new TextEncoder();

/** What can stand in place of a regular file. The monitor must neither block on it nor fail. */
const OBSTACLES: Readonly<Record<string, (path: string) => unknown>> = {
  "a folder": (path) => Deno.mkdirSync(path),
  "a pipe": (path) => assert.ok(new Deno.Command("mkfifo", { args: [path] }).outputSync().success),
  "a link to a device": (path) => Deno.symlinkSync("/dev/zero", path),
  "a link that leads nowhere": (path) => Deno.symlinkSync("nowhere", path),
  "a link to itself": (path) => Deno.symlinkSync(path, path),
};

for (const name of ["tracker.events.000001", "tracker.archive.000001.zst"]) {
  Deno.test(`a ${name} that is not a regular file counts as unreadable, and the rest is read`, async () => {
    for (const [obstacle, create] of Object.entries(OBSTACLES)) {
      using logs = new Logs();
      create(join(logs.path, name));
      logs.orders(3);
      using follower = new Follower(logs.path);
      await follower.catchUp();
      // A second pass does not count it again.
      await follower.catchUp();
      const { totals, unreadable } = follower.snapshot();
      assert.equal(totals.received, 3, obstacle);
      assert.equal(unreadable.journalLines, 1, obstacle);
      assert.ok(unreadable.sample?.startsWith(`${join(logs.path, name)}: it is `), obstacle);
    }
  });
}

Deno.test("a truncated archive and one with trailing bytes are read up to the last intact block", async () => {
  using logs = new Logs();
  const blocks = [0, 1].map((offset) =>
    packBlock(ENCODER.encode(journalLine({ receivedAtMs: Date.now(), offset })))
  );
  const bytes = await new Blob(blocks.map((block) => block.slice())).bytes();
  Deno.writeFileSync(join(logs.path, "tracker.archive.000001.zst"), bytes.subarray(0, -1));
  Deno.writeFileSync(
    join(logs.path, "tracker.archive.000002.zst"),
    await new Blob([bytes, "garbage, long enough for a header"]).bytes(),
  );
  logs.orders(1);
  using follower = new Follower(logs.path);
  await follower.catchUp();
  const { totals, unreadable } = follower.snapshot();
  assert.equal(totals.received, 1 + 2 + 1);
  assert.equal(unreadable.journalLines, 2);
});

Deno.test("an endless line uses bounded memory, and only its beginning is delivered", () => {
  const lineBytesMax = 1_000_000;
  const chunkBytes = 1_000;
  const delivered: number[] = [];
  const sink = {
    begin() {},
    rewind() {},
    settle() {},
    line: (_: Uint8Array, start: number, end: number) => delivered.push(end - start),
  };
  const lines = new LineBuffer({ chunkBytes, lineBytesMax });
  for (let read = 0; read < 3 * lineBytesMax;) {
    const room = lines.room(sink).fill(0x78);
    assert.ok(room.buffer.byteLength <= lineBytesMax + chunkBytes);
    lines.accept(room.length, sink);
    read += room.length;
  }
  lines.finish(sink);
  assert.deepEqual(delivered, [64 * 1024]);
});

Deno.test("a log that is not a regular file is reported, and the journal is still read", async () => {
  for (const [obstacle, create] of Object.entries(OBSTACLES)) {
    using logs = new Logs();
    create(join(logs.path, "tracker.log"));
    logs.orders(3);
    using follower = new Follower(logs.path);
    await follower.catchUp();
    const { totals, health } = follower.snapshot();
    assert.equal(totals.received, 3, obstacle);
    // The target of a dangling link may be created later.
    const isReported = health.reasons.some((reason) => /tracker\.log": /.test(reason));
    assert.equal(isReported, obstacle !== "a link that leads nowhere", obstacle);
  }
});

Deno.test("an unreadable status file is reported", async () => {
  using logs = new Logs();
  logs.orders(1);
  Deno.mkdirSync(join(logs.path, "tracker.status"));
  using follower = new Follower(logs.path);
  await follower.catchUp();
  const text = formatText(follower.snapshot(), { folder: logs.path });
  assert.match(text, /status file cannot be read: it is not a file/);
});
