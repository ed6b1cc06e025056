import assert from "node:assert/strict";
import { startProgram } from "../../dev/programs.ts";
import { loadNemeses } from "../../dev/torture/nemesis.ts";
import { makeSchedule } from "../../dev/torture/schedule.ts";
import { shrink } from "../../dev/torture/shrink.ts";

const nemeses = await loadNemeses();
const OPTIONS = { seed: 7, minutes: 1, isRoot: true };

Deno.test("makeSchedule() makes the same schedule from the same seed", () => {
  const schedule = makeSchedule(OPTIONS, nemeses);
  assert.deepEqual(makeSchedule(OPTIONS, nemeses), schedule);
  assert.deepEqual(JSON.parse(JSON.stringify(schedule)), schedule);
  assert.notDeepEqual(makeSchedule({ ...OPTIONS, seed: 8 }, nemeses).steps, schedule.steps);
});

Deno.test("makeSchedule() uses every applicable nemesis and no other", () => {
  const seeds = Array.from({ length: 100 }, (_, seed) => seed);
  const usedBy = (options: { readonly nodes?: 1 | 3; readonly isRoot: boolean }) =>
    new Set(
      seeds.flatMap((seed) => makeSchedule({ seed, minutes: 1, ...options }, nemeses).steps)
        .map(({ nemesis }) => nemesis),
    );
  assert.deepEqual([...usedBy({ isRoot: true })].sort(), [...nemeses.keys()]);
  const single = usedBy({ nodes: 1, isRoot: false });
  assert.ok(single.has("lose-tail") && !single.has("unclean-election") && !single.has("fill-disk"));
});

Deno.test("shrink() keeps the necessary faults and tries each candidate up to three times", async () => {
  const schedule = makeSchedule(OPTIONS, nemeses);
  const needed = [schedule.steps.at(2), schedule.steps.at(-2)];
  let runCount = 0;
  const shortest = await shrink(schedule, {
    fails: ({ steps }) => {
      runCount++;
      return Promise.resolve(
        runCount % 3 === 0 && needed.every((step) => step !== undefined && steps.includes(step)),
      );
    },
    isOver: () => false,
  });
  assert.deepEqual(shortest.steps, needed);
  const never = await shrink(schedule, {
    fails: () => Promise.resolve(true),
    isOver: () => true,
  });
  assert.deepEqual(never, schedule);
});

/**
 * Together these seeds cut the network, truncate a log, move leaders, elect an unclean leader, and run the
 * producer. No other test does that to the whole pipeline. A new nemesis changes the schedule of each seed.
 */
const SEEDS = [
  { seed: 1019, nodes: 1, kinds: ["cut-network", "lose-tail", "kill-tracker", "run-producer"] },
  { seed: 2009, nodes: 3, kinds: ["unclean-election", "move-leader", "run-producer"] },
] as const;
const MINUTES = 0.5;

for (const { seed, nodes, kinds } of SEEDS) {
  Deno.test(`deno task torture: every promise holds with seed ${seed} and ${nodes} broker(s)`, async () => {
    const { steps } = makeSchedule({ seed, nodes, minutes: MINUTES, isRoot: false }, nemeses);
    for (const kind of kinds) assert.ok(steps.some(({ nemesis }) => nemesis === kind), kind);
    const folder = await Deno.makeTempDir({ prefix: "orderflow-torture-test-" });
    try {
      const program = await startProgram("torture", [
        ...["--seed", String(seed), "--nodes", String(nodes), "--minutes", String(MINUTES)],
        "--no-shrink",
      ], { cwd: folder });
      const code = await program.exitCode;
      assert.equal(code, 0, program.output.stdout + program.output.stderr);
      assert.match(program.output.stdout, /every promise held/);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
