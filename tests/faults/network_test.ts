import assert from "node:assert/strict";
import { createSite, type Site, until } from "../site.ts";
import type { Random } from "../../lib/shop/random.ts";
import {
  assertAllDeadLettered,
  assertSameRecords,
  between,
  FaultBroker,
  say,
  scaled,
  seededChoices,
  startFaultTracker,
  stopTracker,
  untilAllCommitted,
  untilJournaled,
  withDeadline,
} from "./fault_site.ts";
import { FaultyProxy } from "../../lib/dev/faulty_proxy.ts";

const RATE = 400;
/** Requests are given up after 3 s. What hangs beyond that is ended by the watchdog, after 45 s: too late. */
const RECOVERY_MS_MAX = 30_000;
const ROUND_COUNT = scaled({ long: 6, short: 1 });

interface Trouble {
  readonly name: string;
  /** Makes it, and returns when it is over. */
  readonly make: (proxy: FaultyProxy, random: Random) => Promise<void>;
}

function lasting(
  name: string,
  { minMs, maxMs, begin }: {
    minMs: number;
    maxMs: number;
    begin: (proxy: FaultyProxy, random: Random) => void;
  },
): Trouble {
  return {
    name,
    async make(proxy, random) {
      const endsAtMs = performance.now() + between(random, { min: minMs, max: maxMs });
      begin(proxy, random);
      await until(`${name} is over`, () => performance.now() > endsAtMs);
    },
  };
}

/** Ends all connections every half second to second and a half, as franz-go's `chaosDialer` does. */
function ending(name: string, end: (proxy: FaultyProxy) => void): Trouble {
  return {
    name,
    async make(proxy, random) {
      for (let count = 0; count < 3; count++) {
        const atMs = performance.now() + between(random, { min: 500, max: 1_500 });
        await until("it is time", () => performance.now() > atMs);
        end(proxy);
      }
    },
  };
}

const TROUBLES: readonly Trouble[] = [
  ending("cut", (proxy) => proxy.cutAll()),
  ending("reset", (proxy) => proxy.resetAll()),
  {
    name: "forgotten",
    make(proxy) {
      proxy.forgetAll();
      return Promise.resolve();
    },
  },
  lasting("delayed", {
    minMs: 2_000,
    maxMs: 4_000,
    begin: (proxy, random) =>
      proxy.setMode({ kind: "delay", delayMs: between(random, { min: 50, max: 400 }) }),
  }),
  // Longer than the request timeout (3 s) and the session timeout of these tests (2 s).
  lasting("black-holed", {
    minMs: 5_000,
    maxMs: 7_000,
    begin: (proxy) => proxy.setMode({ kind: "black-hole" }),
  }),
  lasting("sliced", {
    minMs: 2_000,
    maxMs: 4_000,
    begin: (proxy, random) =>
      proxy.setMode({ kind: "slice", sliceBytes: between(random, { min: 500, max: 5_000 }) }),
  }),
  lasting("reset in mid-answer", {
    minMs: 2_000,
    maxMs: 4_000,
    begin: (proxy, random) =>
      proxy.setMode({ kind: "limit", bytesMax: between(random, { min: 10_000, max: 300_000 }) }),
  }),
  lasting("refused", {
    minMs: 2_000,
    maxMs: 4_000,
    begin: (proxy) => {
      proxy.setMode({ kind: "refuse" });
      proxy.resetAll();
    },
  }),
];

/**
 * Goal: a network that fails in every usual way costs nothing, and the work goes on when it is whole.
 * Method: producer and tracker reach the broker through a proxy only, which cuts, resets, delays, swallows,
 * slices, resets in mid-answer, refuses and forgets them, each in turn, in random order.
 * Invariants: after each the journal grows again, soon; in the end topic and journal are the same, each bad
 * record has its dead letter, all that was acknowledged is there, all is committed.
 */
Deno.test("connections cut, reset, delayed, swallowed, sliced, refused, forgotten: nothing lost, nothing twice", async () => {
  const random = seededChoices();
  let targetPort = 0;
  await using proxy = await FaultyProxy.listen(() => targetPort);
  await using broker = await FaultBroker.start({
    "advertised.listeners": `PLAINTEXT://${proxy.address}`,
  });
  targetPort = broker.port;
  await using site = await createSite({ broker: proxy.address });
  using tracker = startFaultTracker(site);
  const producer = await site.start("producer", [
    "--rate",
    String(RATE),
    "--bad",
    "1",
    "--json",
  ]);
  await untilJournaled(site, RATE);
  const recoveries: string[] = [];
  for (let round = 0; round < ROUND_COUNT; round++) {
    for (const { name, make } of shuffled(TROUBLES, random)) {
      await make(proxy, random);
      proxy.setMode({ kind: "pass" });
      const recoveryMs = await msUntilGrowing(site, tracker.output);
      assert.ok(recoveryMs < RECOVERY_MS_MAX, `after ${name}: ${recoveryMs} ms`);
      recoveries.push(`${name} ${Math.round(recoveryMs)} ms`);
    }
  }
  producer.signal("SIGTERM");
  assert.equal(await withDeadline(producer.exitCode, () => producer.output.stderr), 0);
  const { acknowledged, generated } = JSON.parse(producer.output.stdout);
  await untilAllCommitted(site);
  await stopTracker(tracker);
  const count = await assertSameRecords(site);
  assert.ok(count >= acknowledged, `${count} records of ${acknowledged} acknowledged`);
  await assertAllDeadLettered(site);
  say(`${count} records in the topic, ${acknowledged} acknowledged of ${generated}`);
  say(`growing again after: ${recoveries.join(", ")}`);
});

/** How long it takes until half a second's worth of records is journaled. */
async function msUntilGrowing(
  site: Site,
  output: { readonly stderr: string },
): Promise<number> {
  const startedAtMs = performance.now();
  const lines = await untilJournaled(site, 0);
  await untilJournaled(site, lines + RATE / 2).catch((error) => {
    throw new Error(`${error.message}; it said:\n${output.stderr}`);
  });
  return performance.now() - startedAtMs;
}

function shuffled<Item>(items: readonly Item[], random: Random): readonly Item[] {
  return items.map((item) => ({ item, key: random.unit() })).sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}
