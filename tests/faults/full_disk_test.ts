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
  say,
  SESSION_TIMEOUT_MS,
  startFaultTracker,
  stopTracker,
  TEST_TIMEOUT_MS,
  untilAllCommitted,
} from "./fault_site.ts";
import { mountSmallDisk, succeeds } from "../small_disk.ts";

const broker = await liveBroker();

const RECORD_COUNT = 6_000;
const ROOM_BYTES = 6 * 1024 * 1024;
const STALL_MS = 3 * SESSION_TIMEOUT_MS;

/** Waits until the journal is stalled, and then longer than the session; meanwhile nothing is committed. */
async function stayStalled(site: Site, tracker: Program, logs: string): Promise<void> {
  await until(
    "the journal is stalled",
    () => /ERROR The journal cannot be written/.test(tracker.output.stderr),
    TEST_TIMEOUT_MS,
  );
  const stalledAtMs = Date.now();
  const linesBefore = countJournalLines(logs);
  await until("it has been stalled for long", () => Date.now() - stalledAtMs > STALL_MS);
  assert.equal(
    tracker.output.stderr.match(/The journal cannot be written/g)?.length,
    1,
    "logged once",
  );
  await assertCommittedIsOnDisk(site, logs);
  assert.equal(countJournalLines(logs), linesBefore);
}

/** Asserts the guarantee: each record before the group's offset is in the journal. */
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

/** Leaves out a last line that a full disk cut short: it counts only once it is complete. */
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
    TEST_TIMEOUT_MS,
  );
  say(`written again ${Math.round(performance.now() - freedAtMs)} ms after space was available`);
  await untilAllCommitted(site);
  await stopTracker(tracker);
  assert.equal(tracker.output.stderr.match(/Joined the consumer group/g)?.length, 1, "one join");
  assert.doesNotMatch(
    tracker.output.stderr,
    /does not advance/,
    "the full disk was already reported",
  );
  assert.equal(await assertSameRecords(site, logs), RECORD_COUNT);
}

/**
 * Goal: a full disk stops only the tracker's work, until there is space.
 * Method: the journal is on a tmpfs that is too small; after three session timeouts the tmpfs is made larger.
 * Invariants: the reason is logged once; committed records are on the disk; the member stays in its group; the same
 * process continues; topic and journal are the same.
 */
Deno.test("on a full disk, nothing is committed before it is written, and work continues once there is space", async (t) => {
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
 * Goal and invariants: see above; and the reason is in tracker.log.
 * Method: a file-size limit (`ulimit -f`), whose signal kills an unprepared process; later the limit is lifted.
 */
Deno.test({
  name: "a tracker survives a file-size limit, logs it, and continues when the limit is lifted",
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
 * Goal: a tracker that cannot write can be stopped or killed, and the next one continues.
 * Method: a file-size limit; SIGTERM to one tracker, SIGKILL to the next, and no limit for the third.
 * Invariants: the stop takes bounded time; topic and journal are the same in the end.
 */
Deno.test({
  name: "a tracker that cannot write stops on SIGTERM, and the next one continues",
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
        TEST_TIMEOUT_MS,
      );
      const signaledAtMs = performance.now();
      tracker.signal(signal);
      await tracker.exitCode;
      if (signal === "SIGTERM") {
        say(`ended ${Math.round(performance.now() - signaledAtMs)} ms after SIGTERM`);
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
