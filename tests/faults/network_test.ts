import type { FaultyProxy } from "../../lib/dev/faulty_proxy.ts";
import { until } from "../site.ts";
import { between, brokerBehindProxy, IS_LONG, scaled } from "./fault_site.ts";
import { lasting, surviveTroubles, type Trouble } from "./network_scenario.ts";
import { findToxiproxy } from "./toxiproxy.ts";

/** Ends all connections every half second to second and a half, as franz-go's `chaosDialer` does. */
function ending(name: string, end: (proxy: FaultyProxy) => void): Trouble<FaultyProxy> {
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

/** What toxiproxy cannot do. */
const OWN_TROUBLES: readonly Trouble<FaultyProxy>[] = [
  ending("cut", (proxy) => proxy.cutAll()),
  ending("reset", (proxy) => proxy.resetAll()),
  {
    name: "forgotten",
    make(proxy) {
      proxy.forgetAll();
      return Promise.resolve();
    },
  },
];

/** What it can: in the short form it is left to it, where it is there. */
const USUAL_TROUBLES: readonly Trouble<FaultyProxy>[] = [
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

const isToxiproxyThere = await findToxiproxy() !== undefined;
const TROUBLES = isToxiproxyThere && !IS_LONG ? OWN_TROUBLES : [...OWN_TROUBLES, ...USUAL_TROUBLES];

/**
 * Goal: a network that fails in every usual way costs nothing, and the work goes on when it is whole.
 * Method: producer and tracker reach the broker through a proxy only, which makes each trouble in turn, in
 * random order.
 * Invariants: after each the journal grows again, soon; in the end topic and journal are the same, each bad
 * record has its dead letter, all that was acknowledged is there, all is committed.
 */
Deno.test(
  `connections ${TROUBLES.map(({ name }) => name).join(", ")}: nothing lost, nothing twice`,
  async () => {
    await using line = await brokerBehindProxy();
    await surviveTroubles({
      address: line.proxy.address,
      network: line.proxy,
      heal: (proxy) => proxy.setMode({ kind: "pass" }),
      troubles: TROUBLES,
      roundCount: scaled({ long: 6, short: 1 }),
    });
  },
);
