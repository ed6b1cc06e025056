import assert from "node:assert/strict";
import { liveBroker } from "../live_broker.ts";
import { createSite, hasCommand, until } from "../site.ts";
import { fill, say, scaled, trackToEnd, untilAllCommitted } from "./fault_site.ts";

const broker = await liveBroker();

const MEASURED_MS = scaled({ long: 10_000, short: 5_000 });
/** The short form runs beside other tests, so its limit only detects a busy loop. */
const PERCENT_MAX = scaled({ long: 5, short: 25 });
const TICKS_A_SECOND = 100;

/** Returns the CPU time of a process with all its threads according to ps, in seconds. */
async function cpuSeconds(pid: number): Promise<number> {
  const { stdout } = await new Deno.Command("cat", { args: [`/proc/${pid}/stat`] }).output();
  const afterName = new TextDecoder().decode(stdout).split(") ").at(-1)?.split(" ") ?? [];
  return (Number(afterName[11]) + Number(afterName[12])) / TICKS_A_SECOND;
}

/**
 * Goal: an idle tracker uses next to no CPU.
 * Method: the product's own program after journaling everything; its CPU time over 10 s.
 * Invariants: under 5 % of a core (long form); no runtime warning on stderr.
 */
Deno.test({
  name: `an idle tracker uses under ${PERCENT_MAX} % of a core`,
  ignore: Deno.build.os !== "linux" || !await hasCommand("cat", "--version"),
  fn: async () => {
    await using site = await createSite({ broker: broker.address });
    await fill(site, { count: 1_000 });
    await trackToEnd(site);
    await fill(site, { count: 1_000 });
    const tracker = await site.start("tracker", ["--json"]);
    await untilAllCommitted(site);
    const startedAtMs = performance.now();
    const cpuBefore = await cpuSeconds(tracker.pid);
    await until("the time is over", () => performance.now() - startedAtMs > MEASURED_MS);
    const used = await cpuSeconds(tracker.pid) - cpuBefore;
    const percent = 100 * used / ((performance.now() - startedAtMs) / 1_000);
    say(`idle: ${percent.toFixed(1)} % of a core`);
    assert.ok(percent < PERCENT_MAX, `${percent} %`);
    tracker.signal("SIGTERM");
    assert.equal(await tracker.exitCode, 0);
    assert.doesNotMatch(tracker.output.stderr, /Warning/);
  },
});
