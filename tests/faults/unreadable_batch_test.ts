import assert from "node:assert/strict";
import { createSite, readJournal, until } from "../site.ts";
import {
  assertSameRecords,
  committedOffsets,
  FaultBroker,
  fill,
  logged,
  startFaultTracker,
  stopTracker,
  topicRanges,
  untilAllCommitted,
} from "./fault_site.ts";
import { readStatus } from "./standing_site.ts";

const DAMAGED_PARTITION = 1;

/** Flips one bit in the middle of a file; a second call flips it back. */
async function turnBit(path: string): Promise<void> {
  using file = await Deno.open(path, { read: true, write: true });
  const position = Math.floor((await file.stat()).size / 2);
  const byte = new Uint8Array(1);
  await file.seek(position, Deno.SeekMode.Start);
  await file.read(byte);
  byte[0] = (byte[0] ?? 0) ^ 1;
  await file.seek(position, Deno.SeekMode.Start);
  await file.write(byte);
}

/**
 * Goal: a corrupt record batch is never journaled.
 * Method: one bit of a partition's file is flipped while the broker is down; a broker serves batches as they are on
 * disk. Later the bit is flipped back.
 * Invariants: nothing of the batch is journaled or committed, it is reported once, and the other partitions go on;
 * once the batch is intact again, the tracker continues by itself, and journal and topic are the same.
 */
Deno.test("a batch with a wrong checksum is refused and reported, and read once it is intact again", async () => {
  await using broker = await FaultBroker.start();
  await using site = await createSite({ broker: broker.address });
  await fill(site, { count: 3_000 });
  const path = broker.logFileOf(site.topic, DAMAGED_PARTITION);
  await broker.stop();
  await turnBit(path);
  await broker.restart();

  using tracker = startFaultTracker(site);
  await until("the batch is named", () => logged(site.logs, /cannot be read/).length > 0);
  const others = [...await topicRanges(site)]
    .filter(([partition]) => partition !== DAMAGED_PARTITION);
  await until("the other partitions are committed", async () => {
    const committed = await committedOffsets(site);
    return others.every(([partition, { high }]) => committed.get(partition) === high);
  });
  const [warning, ...repeats] = logged(site.logs, /cannot be read/);
  assert.deepEqual(repeats, []);
  assert.match(warning?.error ?? "", /has checksum \d+: expected \d+/);
  const { partition, offset } = warning?.metadata ?? {};
  assert.equal(partition, DAMAGED_PARTITION);
  await until("the status names it", () => {
    const { state, ready, reason = "" } = readStatus(site.logs) ?? {};
    return state === "blocked" && ready === false &&
      reason.includes(`[${DAMAGED_PARTITION}] cannot be read at offset ${offset}`);
  });
  const journaled = (await readJournal(site.logs))
    .filter(({ kafka_partition }) => kafka_partition === DAMAGED_PARTITION);
  assert.ok(journaled.every(({ kafka_offset }) => kafka_offset < Number(offset)));
  assert.ok(((await committedOffsets(site)).get(DAMAGED_PARTITION) ?? 0) <= Number(offset));

  await broker.stop();
  await turnBit(path);
  await broker.restart();
  await untilAllCommitted(site);
  await stopTracker(tracker);
  assert.equal(await assertSameRecords(site), 3_000);
});
