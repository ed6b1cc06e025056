import assert from "node:assert/strict";
import { judgeFlatness, type Sample } from "../../dev/soak/flatness.ts";
import { COUNTS_HANDLES, usageOf } from "../../dev/soak/process_usage.ts";
import {
  HANDLE_GROWTH_BOUND,
  MEMORY_GROWTH_BOUND,
  soakHolds,
  type SoakResult,
} from "../../dev/soak/run.ts";
import { startProgram } from "../../dev/programs.ts";
import { liveBroker } from "../live_broker.ts";
import { ownProcess } from "../own_process.ts";
import type { Verification } from "../../lib/verify/verification.ts";

const broker = await liveBroker();
const MINUTE_MS = 60_000;

/** Returns 120 samples over ten minutes. */
function tenMinutes(valueAt: (minutes: number) => number): readonly Sample[] {
  return Array.from({ length: 120 }, (_, index) => {
    const elapsedMs = index * 5_000;
    return { elapsedMs, value: valueAt(elapsedMs / MINUTE_MS) };
  });
}

/** A heap that grows by 60 MiB within 40 s and is then collected. */
const sawtooth = (minutes: number) => 150 + 60 * ((minutes * 60) % 40) / 40;
const memoryOf = (valueAt: (minutes: number) => number) =>
  judgeFlatness(tenMinutes(valueAt), MEMORY_GROWTH_BOUND);
const handlesOf = (valueAt: (minutes: number) => number) =>
  judgeFlatness(tenMinutes(valueAt), HANDLE_GROWTH_BOUND);

Deno.test("judgeFlatness() accepts garbage collection cycles, a shrinking heap, and growth that ends in the warm-up", () => {
  assert.equal(memoryOf(sawtooth).isFlat, true);
  assert.equal(memoryOf((minutes) => 300 - 20 * minutes).isFlat, true);
  assert.equal(memoryOf((minutes) => 20 + 80 * Math.min(minutes, 3)).isFlat, true);
  assert.equal(handlesOf((minutes) => 30 + Math.round(minutes * 12) % 3).isFlat, true);
});

Deno.test("judgeFlatness() detects a leak under noise, with its slope", () => {
  // 300 bytes per order at 500 orders/s.
  const { isFlat, growthPerMinute } = memoryOf((minutes) => sawtooth(minutes) + 8.6 * minutes);
  assert.equal(isFlat, false);
  assert.ok(Math.abs(growthPerMinute - 8.6) < 2, `${growthPerMinute} MiB a minute`);
});

Deno.test("judgeFlatness() detects a lasting step, and a handle leak per segment", () => {
  assert.equal(memoryOf((minutes) => minutes < 7 ? 150 : 220).isFlat, false);
  assert.equal(handlesOf((minutes) => 30 + Math.floor(minutes * 3)).isFlat, false);
});

Deno.test("judgeFlatness() rejects too few samples", () => {
  assert.throws(() => judgeFlatness(tenMinutes(() => 1).slice(0, 8), MEMORY_GROWTH_BOUND), {
    name: "RangeError",
    message: "cannot judge 5 samples; expected at least 9 after the warm-up",
  });
});

function resultWith(
  { growth = 0, isJudged = true, missing = 0, monitored = 100 - missing }: {
    growth?: number;
    isJudged?: boolean;
    missing?: number;
    monitored?: number;
  },
): SoakResult {
  const verification = { records: 100, journaled: 100 - missing, missing, ok: missing === 0 };
  return {
    proof: {
      producer: { generated: 100, acknowledged: 100 } as SoakResult["proof"]["producer"],
      verification: verification as Verification,
      deadLettered: 0,
      problems: [],
    },
    seconds: 600,
    samples: 120,
    monitored,
    figures: [{
      program: "tracker",
      what: "memory, MiB",
      flatness: memoryOf((minutes) => 150 + growth * minutes),
      isJudged,
    }],
    isStoppedEarly: false,
  };
}

Deno.test("soakHolds() fails for a leak, a lost record, and a record that the monitor did not count", () => {
  assert.equal(soakHolds(resultWith({})), true);
  assert.equal(soakHolds(resultWith({ growth: 20 })), false);
  assert.equal(soakHolds(resultWith({ growth: 20, isJudged: false })), true);
  assert.equal(soakHolds(resultWith({ missing: 1 })), false);
  assert.equal(soakHolds(resultWith({ monitored: 99 })), false);
});

Deno.test("soakHolds() requires figures unless the soak was stopped before there were enough samples", () => {
  const result = { ...resultWith({}), figures: [] };
  assert.equal(soakHolds(result), false);
  assert.equal(soakHolds({ ...result, isStoppedEarly: true }), true);
  assert.equal(soakHolds({ ...resultWith({ missing: 1 }), isStoppedEarly: true }), false);
});

Deno.test({
  name: "usageOf() returns the memory and handles of a process, and undefined once it has ended",
  ignore: !COUNTS_HANDLES,
  async fn() {
    const process = ownProcess(
      `for await (const _ of Deno.stdin.readable) {
         const files = Array.from({ length: 100 }, () => Deno.openSync(Deno.execPath()));
         console.log(files.length);
       }`,
      { stdin: "piped", stdout: "piped" },
    ).spawn();
    const [input, output] = [process.stdin.getWriter(), process.stdout.getReader()];
    const openHundred = async () => {
      await input.write(new Uint8Array([1]));
      assert.equal((await output.read()).done, false);
    };
    // The process has started once its first hundred files are open.
    await openHundred();
    const before = await usageOf(process.pid);
    assert.ok((before?.residentMiB ?? 0) > 20);
    await openHundred();
    const after = await usageOf(process.pid);
    const opened = (after?.handles ?? 0) - (before?.handles ?? 0);
    assert.ok(Math.abs(opened - 100) < 10, `${opened} more`);

    await input.close();
    await output.cancel();
    await process.status;
    assert.equal(await usageOf(process.pid), undefined);
  },
});

Deno.test({
  name: "a short deno task soak closes segments, keeps handles flat, and proves every record",
  ignore: !COUNTS_HANDLES,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "orderflow-soak-" });
    try {
      const program = await startProgram("soak", [
        ...["--minutes", "0.25", "--rate", "200", "--rotate", "500kB"],
      ], { cwd: folder, env: { KAFKA_BROKER: broker.address } });
      const code = await program.exitCode;
      const { stdout, stderr } = program.output;
      assert.equal(code, 0, stdout + stderr);
      for (const name of ["producer", "tracker", "monitor"]) {
        assert.match(
          stdout,
          new RegExp(`^  ${name} +memory, MiB .* run too short to judge$`, "m"),
        );
        assert.match(stdout, new RegExp(`^  ${name} +open handles .* flat$`, "m"));
      }
      assert.match(
        stdout,
        /Nothing was lost, and nothing was repeated\.\n(.*\n)+The soak passed\.\n$/,
      );
      const [logs] = [...Deno.readDirSync(`${folder}/logs`)];
      const archives = [...Deno.readDirSync(`${folder}/logs/${logs?.name}`)]
        .filter(({ name }) => name.startsWith("tracker.archive."));
      assert.ok(archives.length > 3, `${archives.length} segments were closed and compressed`);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("deno task soak rejects an invalid duration with one line and code 2", async () => {
  const program = await startProgram("soak", ["--minutes", "none"]);
  assert.equal(await program.exitCode, 2);
  assert.match(program.output.stderr, /^error: .*expected a number of minutes above 0.*\n$/);
});
