/** Tests what other programs read from a tracker's folder: its records, and the monitor's totals. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { FolderMonitor, type JournaledRecord, readJournal } from "../../mod.ts";
import { createShop } from "../../lib/shop/shop.ts";
import { EventWriter } from "../../lib/journal/line.ts";
import { packBlock } from "../../lib/journal/archive.ts";

const shop = createShop({ seed: 11 });
const encoder = new TextEncoder();

/** Returns lines as the tracker writes them, with valid orders at these offsets of partition 0. */
function linesOf(...offsets: readonly number[]): Uint8Array {
  const writer = new EventWriter();
  for (const offset of offsets) {
    writer.write(
      {
        topic: "orders",
        partition: 0,
        offset,
        key: encoder.encode(`C${offset}`),
        value: encoder.encode(JSON.stringify(shop.nextOrder(Date.now()))),
        headers: [],
        timestampMs: Date.now(),
      },
      { eventType: "message.received", isText: true, deserialized: true },
      { receivedAt: new Date() },
    );
  }
  return writer.lines;
}

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-reader-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function offsetsIn(records: AsyncIterable<JournaledRecord>): Promise<readonly number[]> {
  return (await Array.fromAsync(records)).map(({ offset }) => offset);
}

Deno.test("readJournal() reads archives, closed segments, and the active one in order, without a torn last line", () =>
  withFolder(async (folder) => {
    await Deno.writeFile(join(folder, "tracker.archive.000001.zst"), packBlock(linesOf(0, 1)));
    await Deno.writeFile(join(folder, "tracker.events.000002"), linesOf(2, 3));
    const active = linesOf(4, 5);
    await Deno.writeFile(join(folder, "tracker.events"), active.subarray(0, -1));
    assert.deepEqual(await offsetsIn(readJournal(folder)), [0, 1, 2, 3, 4]);
    await Deno.writeFile(join(folder, "tracker.events"), active);
    assert.deepEqual(await offsetsIn(readJournal(folder)), [0, 1, 2, 3, 4, 5]);
  }));

Deno.test("readJournal() returns each record byte for byte, and closes its files when the reader stops early", () =>
  withFolder(async (folder) => {
    await Deno.writeFile(join(folder, "tracker.events"), linesOf(7, 8));
    for await (const { topic, value, details } of readJournal(folder)) {
      assert.equal(topic, "orders");
      assert.equal(new TextDecoder().decode(details?.key ?? undefined), "C7");
      assert.match(new TextDecoder().decode(value ?? undefined), /^\{"order_id":"/);
      break;
    }
  }));

Deno.test("readJournal() names the file and byte of a line without a record, and continues if permitted", () =>
  withFolder(async (folder) => {
    const first = linesOf(1);
    const path = join(folder, "tracker.events");
    await Deno.writeFile(path, first);
    await Deno.writeTextFile(path, '{"kafka_topic":1}\n', { append: true });
    await Deno.writeFile(path, linesOf(2), { append: true });
    const expected = new RegExp(
      `^Cannot read the record at byte ${first.length} of ".*tracker.events": expected kafka_topic`,
    );
    await assert.rejects(offsetsIn(readJournal(folder)), {
      name: "SyntaxError",
      message: expected,
    });

    const seen: string[] = [];
    const onUnreadable = ({ message }: SyntaxError) => seen.push(message);
    assert.deepEqual(await offsetsIn(readJournal(folder, { onUnreadable })), [1, 2]);
    assert.equal(seen.length, 1);
    assert.match(seen[0] ?? "", expected);
  }));

Deno.test("readJournal() reports invalid UTF-8 as damage, and replaces no bytes", () =>
  withFolder(async (folder) => {
    const line = linesOf(1);
    line[line.indexOf("E".charCodeAt(0))] = 0xff;
    await Deno.writeFile(join(folder, "tracker.events"), line);
    await assert.rejects(offsetsIn(readJournal(folder)), { name: "SyntaxError" });
  }));

Deno.test("FolderMonitor counts what was written since its last update, starting without data", () =>
  withFolder(async (folder) => {
    using monitor = new FolderMonitor(folder);
    assert.equal((await monitor.look()).health, "no_data");
    const path = join(folder, "tracker.events");
    await Deno.writeFile(path, linesOf(0, 1, 2));
    assert.equal((await monitor.look()).received, 3);
    await Deno.writeFile(path, linesOf(3), { append: true });
    const { received, processed, failed, health, reasons } = await monitor.look();
    assert.deepEqual({ received, processed, failed, health }, {
      received: 4,
      processed: 4,
      failed: 0,
      health: "healthy",
    });
    assert.notEqual(reasons.length, 0);
  }));
