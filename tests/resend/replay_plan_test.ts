import assert from "node:assert/strict";
import { join } from "node:path";
import type { Query } from "../../lib/search/query.ts";
import { type Plan, planReplay, readPieces } from "../../lib/resend/replay_plan.ts";
import { ReplaySource } from "../../lib/resend/replay_source.ts";
import { Random } from "../../lib/shop/random.ts";
import { line, type LineOptions } from "./replay_site.ts";

interface Planned {
  readonly plan: Plan;
  /** `partition:offset value` of each record, in sending order. */
  readonly sent: readonly string[];
  readonly problems: readonly string[];
}

/** Plans a replay of the journals, each given as its lines. */
async function planned(
  journals: readonly (readonly (LineOptions | string)[])[],
  query: Query = {},
): Promise<Planned> {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-plan-" });
  try {
    const directories = await Promise.all(journals.map(async (all, index) => {
      const directory = join(folder, String(index));
      await Deno.mkdir(directory);
      const text = all.map((each) => `${typeof each === "string" ? each : line(each)}\n`).join("");
      await Deno.writeTextFile(join(directory, "tracker.events"), text);
      return directory;
    }));
    using source = await ReplaySource.open({ directories });
    const plan = await planReplay({ source, query, judge: () => [] });
    const sent: string[] = [];
    for await (const some of readPieces(source, plan.partitions.values())) {
      for (const { hit: { record: { partition, offset, value } } } of some) {
        sent.push(`${partition}:${offset} ${new TextDecoder().decode(value ?? new Uint8Array())}`);
      }
    }
    assert.equal(sent.length, plan.count);
    return { plan, sent, problems: source.problems };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function run(first: number, last: number, other: Partial<LineOptions> = {}): LineOptions[] {
  return Array.from({ length: last - first + 1 }, (_, index) => (
    { offset: first + index, value: "v", ...other }
  ));
}

const places = (first: number, last: number, value = "v") =>
  run(first, last).map(({ offset }) => `0:${offset} ${value}`);

Deno.test("planReplay() leaves out records lost by a truncation: lines at or past the first offset of a higher epoch", async () => {
  const { sent, plan } = await planned([[
    ...run(0, 9, { epoch: 1, value: "old" }),
    ...run(6, 7, { epoch: 3, value: "new" }),
  ]]);
  assert.deepEqual(sent, [...places(0, 5, "old"), ...places(6, 7, "new")]);
  assert.equal(plan.superseded, 4);
});

Deno.test("planReplay() leaves out a superseded line even if the superseding line is not selected or is in another journal", async () => {
  const old = run(0, 9, { epoch: 1, key: "mine" });
  const current = run(4, 5, { epoch: 2, key: "other" });
  const query = { key: "mine" };
  assert.deepEqual((await planned([[...old, ...current]], query)).sent, places(0, 3));
  assert.deepEqual((await planned([old, current], query)).sent, places(0, 3));
  assert.deepEqual((await planned([current, old], query)).sent, places(0, 3));
});

Deno.test("planReplay() gives a line without an epoch that of the preceding line; without any, a later line at its offset supersedes it", async () => {
  const inherited = await planned([[
    ...[{ offset: 0, epoch: 1 }, { offset: 1 }, { offset: 2 }, { offset: 1, epoch: 2 }],
    { offset: 2 },
  ].map((each, index) => ({ ...each, value: String(index) }))]);
  assert.deepEqual(inherited.sent, ["0:0 0", "0:1 3", "0:2 4"]);
  const unknown = await planned([[
    ...run(0, 9, { value: "old" }),
    ...run(5, 6, { epoch: 4, value: "new" }),
  ]]);
  assert.deepEqual(unknown.sent, [...places(0, 4, "old"), ...places(5, 6, "new")]);
  // Read later but never known to have an epoch, so this is no truncation.
  const late = await planned([[...run(5, 9), ...run(0, 4, { epoch: 4 })]]);
  assert.deepEqual(late.sent, places(0, 9));
});

Deno.test("planReplay() sends a record of several journals once, in partition order, for any split between them", async () => {
  const a = [...run(0, 9), ...run(20, 29), ...run(40, 49)];
  const b = [...run(5, 24), ...run(30, 39)];
  for (const journals of [[a, b], [b, a], [a, b, a]]) {
    const { sent, plan } = await planned(journals);
    assert.deepEqual(sent, places(0, 49));
    assert.equal(plan.repeated, journals.flat().length - 50);
  }
  const interleaved = [0, 1].map((rest) => run(0, 19).filter(({ offset }) => offset % 2 === rest));
  assert.deepEqual((await planned(interleaved)).sent, places(0, 19));
});

Deno.test("planReplay() separates topics of one name by id; lines without an id belong to the only one", async () => {
  const apart = await planned([[...run(0, 4), ...run(0, 4, { topicId: "f".repeat(32) })]]);
  assert.equal(apart.sent.length, 10);
  const one = await planned([run(0, 4, { topicId: null }), run(2, 6)]);
  assert.deepEqual(one.sent, places(0, 6));
});

Deno.test("planReplay() counts incomplete and unreadable lines and uses the rest", async () => {
  const omitted = { value_omitted: { size: 70_000_000, sha256: "a".repeat(64) } };
  const { sent, plan, problems } = await planned([[
    ...run(0, 1),
    { offset: 2, more: omitted },
    "{not json",
    "{}",
    ...run(3, 4),
  ]]);
  assert.deepEqual(sent, [0, 1, 3, 4].map((offset) => `0:${offset} v`));
  assert.deepEqual([plan.omitted?.count, plan.unreadable, problems.length], [1, 2, 2]);
  assert.match(problems[0] ?? "", /Cannot read the line at byte \d+ of ".*tracker\.events": /);
});

/**
 * Goal: for any journals, the plan contains the records of the final log, each once and in order.
 * Method: a log that is truncated now and then, each time starting a new epoch; some trackers journal parts of it with
 * the epochs, some repeatedly. The final state of the log is the model.
 */
Deno.test("planReplay() reconstructs the log from journals of random trackers and truncations", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Random(seed);
    const below = (end: number) => Math.floor(random.unit() * end);
    const journals: LineOptions[][] = Array.from({ length: 1 + below(3) }, () => []);
    let log: LineOptions[] = [];
    let epoch = 0;
    for (let step = 0; step < 12; step++) {
      const isTruncated = below(4) === 0;
      if (isTruncated) {
        log = log.slice(0, below(log.length + 1));
        epoch++;
      }
      const start = (log.at(-1)?.offset ?? -1) + 1 + (isTruncated ? 0 : below(2));
      const added = run(start, start + below(8), { epoch, value: `e${epoch}` });
      log.push(...added);
      for (const journal of [journals[below(journals.length)], journals[below(journals.length)]]) {
        journal?.push(...added);
      }
    }
    // A line beyond the end reveals every truncation.
    const last = run((log.at(-1)?.offset ?? 0) + 1, (log.at(-1)?.offset ?? 0) + 1, {
      epoch,
      value: `e${epoch}`,
    });
    log.push(...last);
    journals[0]?.push(...last);
    const { sent } = await planned(journals);
    const expected = log.map(({ offset, value }) => `0:${offset} ${value}`);
    assert.deepEqual(sent, expected, `seed ${seed}`);
  }
});
