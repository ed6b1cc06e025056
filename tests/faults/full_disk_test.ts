import assert from "node:assert/strict";
import { join } from "node:path";
import type { Program } from "../../dev/programs.ts";
import { liveBroker } from "../live_broker.ts";
import {
  countJournalLines,
  createSite,
  hasCommand,
  journaledRecords,
  readJournal,
  type Site,
  until,
} from "../site.ts";
import {
  assertSameRecords,
  committedOffsets,
  fill,
  logged,
  PATIENCE_MS,
  say,
  SESSION_TIMEOUT_MS,
  startFaultTracker,
  stopTracker,
  untilAllCommitted,
} from "./fault_site.ts";
import { mountSmallDisk, succeeds } from "../small_disk.ts";

const broker = await liveBroker();

const RECORD_COUNT = 6_000;
const ROOM_BYTES = 6 * 1024 * 1024;
const STALL_MS = 3 * SESSION_TIMEOUT_MS;

/** Waits until the journal is stalled, and then longer than the session; nothing is committed meanwhile. */
async function stayStalled(site: Site, tracker: Program, logs: string): Promise<void> {
  await until(
    "the journal is stalled",
    () => /ERROR The journal cannot be written/.test(tracker.output.stderr),
    PATIENCE_MS,
  );
  const stalledAtMs = Date.now();
  const linesBefore = countJournalLines(logs);
  await until("it is stalled for long", () => Date.now() - stalledAtMs > STALL_MS);
  assert.equal(
    tracker.output.stderr.match(/The journal cannot be written/g)?.length,
    1,
    "said once",
  );
  await assertCommittedIsOnDisk(site, logs);
  assert.equal(countJournalLines(logs), linesBefore);
}

/** The guarantee itself: each record before the group's offset is in the journal. */
async function assertCommittedIsOnDisk(site: Site, logs: string): Promise<void> {
  const committed = await committedOffsets(site);
  const held = new Set<string>();
  for (const text of readWholeLines(logs)) {
    const { kafka_partition, kafka_offset } = JSON.parse(text);
    held.add(`${kafka_partition}/${kafka_offset}`);
  }
  for (const [partition, end] of committed) {
    for (let offset = 0; offset < end; offset++) {
      assert.ok(held.has(`${partition}/${offset}`), `${partition}/${offset} is committed: on disk`);
    }
  }
}

/** A last line that a full disk cut short is left out: it counts only once it is whole. */
function readWholeLines(logs: string): readonly string[] {
  return Deno.readTextFileSync(join(logs, "tracker.events")).split("\n").slice(0, -1);
}

async function assertRecovered(
  site: Site,
  { tracker, logs }: { tracker: Program; logs: string },
): Promise<void> {
  const freedAtMs = performance.now();
  await until(
    "the journal is written again",
    () => /The journal can be written again/.test(tracker.output.stderr),
    PATIENCE_MS,
  );
  say(`written again ${Math.round(performance.now() - freedAtMs)} ms after there was room`);
  await untilAllCommitted(site);
  await stopTracker(tracker);
  assert.equal(tracker.output.stderr.match(/Joined the consumer group/g)?.length, 1, "one join");
  assert.doesNotMatch(tracker.output.stderr, /does not advance/, "the full disk was said already");
  assert.equal(await assertSameRecords(site, logs), RECORD_COUNT);
}

/**
 * Goal: a full disk stops the tracker's work and nothing else, and is over when there is room.
 * Method: the journal on a tmpfs that is too small; after three session timeouts it is made larger.
 * Invariants: said once, with the reason; what is committed is on the disk; the member stays in its group;
 * the same process goes on; topic and journal are the same.
 */
Deno.test("a full disk: nothing is committed that is not on it, and with room again it goes on", async (t) => {
  await using site = await createSite({ broker: broker.address });
  const disk = join(site.folder, "disk");
  await Deno.mkdir(disk);
  if (!await mountSmallDisk(disk, String(ROOM_BYTES))) {
    await t.step({ name: "SKIPPED: no right to mount a tmpfs", ignore: true, fn() {} });
    return;
  }
  try {
    await fill(site, { count: RECORD_COUNT });
    const logs = join(disk, "logs");
    using tracker = startFaultTracker(site, { logs });
    await stayStalled(site, tracker, logs);
    assert.match(tracker.output.stderr, /No space left on device/);
    assert.ok(await succeeds("mount", "-o", "remount,size=256m", disk));
    await assertRecovered(site, { tracker, logs });
  } finally {
    await until("it is unmounted", () => succeeds("umount", disk));
  }
});

/**
 * Goal, invariants: as above; and the reason is in tracker.log.
 * Method: a file-size limit (`ulimit -f`), which would kill a process that did not expect it; then lifted.
 */
Deno.test({
  name: "a file-size limit: the tracker lives, says so in its log, and goes on when it is lifted",
  ignore: Deno.build.os !== "linux" || !await hasCommand("prlimit", "--version"),
  fn: async () => {
    await using site = await createSite({ broker: broker.address });
    await fill(site, { count: RECORD_COUNT });
    const wrapper = ["prlimit", `--fsize=${ROOM_BYTES}:unlimited`];
    using tracker = startFaultTracker(site, { wrapper });
    await stayStalled(site, tracker, site.logs);
    const [line] = logged(site.logs, /cannot be written/);
    assert.equal(line?.level, "ERROR");
    assert.match(line?.error ?? "", /File too large/);
    assert.ok(await succeeds("prlimit", "--fsize=unlimited", "--pid", String(tracker.pid)));
    await assertRecovered(site, { tracker, logs: site.logs });
  },
});

/**
 * Goal: a tracker that cannot write can be stopped, or killed, and the next one goes on.
 * Method: a file-size limit; SIGTERM to one tracker, SIGKILL to the next, the third has no limit.
 * Invariants: the stop takes bounded time; topic and journal are the same in the end.
 */
Deno.test({
  name: "a tracker that cannot write ends when told to, and the next one goes on",
  ignore: Deno.build.os !== "linux" || !await hasCommand("prlimit", "--version"),
  fn: async () => {
    await using site = await createSite({ broker: broker.address });
    await fill(site, { count: RECORD_COUNT });
    const wrapper = ["prlimit", `--fsize=${ROOM_BYTES}:unlimited`];
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      using tracker = startFaultTracker(site, { wrapper });
      await until(
        "the journal is stalled",
        () => /ERROR The journal cannot be written/.test(tracker.output.stderr),
        PATIENCE_MS,
      );
      const toldAtMs = performance.now();
      tracker.signal(signal);
      await tracker.exitCode;
      if (signal === "SIGTERM") {
        say(`ended ${Math.round(performance.now() - toldAtMs)} ms after SIGTERM`);
      }
      await assertCommittedIsOnDisk(site, site.logs);
    }
    using tracker = startFaultTracker(site);
    await untilAllCommitted(site);
    await stopTracker(tracker);
    assert.equal(await assertSameRecords(site), RECORD_COUNT);
    assert.equal(journaledRecords(await readJournal(site.logs)).length, RECORD_COUNT);
  },
});
