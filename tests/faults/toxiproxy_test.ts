import type { Random } from "../../lib/shop/random.ts";
import { between, scaled } from "./fault_site.ts";
import { lasting, surviveTroubles, type Trouble } from "./network_scenario.ts";
import { findToxiproxy, type Toxic, ToxicLine } from "./toxiproxy.ts";

const command = await findToxiproxy();

function toxic(
  name: string,
  choose: (random: Random) => Toxic,
  { minMs, maxMs } = { minMs: 700, maxMs: 1_200 },
): Trouble<ToxicLine> {
  return lasting(name, { minMs, maxMs, begin: (line, random) => line.add(choose(random)) });
}

const TROUBLES: readonly Trouble<ToxicLine>[] = [
  toxic("latency", (random) => ({
    type: "latency",
    attributes: { latency: between(random, { min: 50, max: 400 }), jitter: 50 },
  })),
  // In kB/s; some 500 kB/s would be needed.
  toxic("bandwidth", (random) => ({
    type: "bandwidth",
    attributes: { rate: between(random, { min: 100, max: 300 }) },
  })),
  toxic("slicer", (random) => ({
    type: "slicer",
    attributes: {
      average_size: between(random, { min: 500, max: 5_000 }),
      size_variation: 100,
      delay: 1_000, // microseconds
    },
  })),
  // Without an end of its own. Longer than the request timeout (3 s) and the session timeout (2 s).
  toxic("black hole", () => ({ type: "timeout", attributes: { timeout: 0 } }), {
    minMs: 3_200,
    maxMs: 3_600,
  }),
  toxic("reset", (random) => ({
    type: "reset_peer",
    attributes: { timeout: between(random, { min: 0, max: 500 }) },
  })),
  toxic("end in mid-answer", (random) => ({
    type: "limit_data",
    attributes: { bytes: between(random, { min: 10_000, max: 300_000 }) },
  })),
  lasting("down", { minMs: 700, maxMs: 1_200, begin: (line) => line.disable() }),
];

/**
 * Goal: a network that fails in the ways of another's proxy costs nothing, and the work goes on when it is
 * whole: what our own proxy does could be wrong in the way in which the clients are.
 * Method: producer and tracker reach the broker through toxiproxy only, with each of its toxics in turn, in
 * random order, both ways; and with the proxy disabled.
 * Invariants: those of `surviveTroubles`.
 */
Deno.test({
  name:
    "toxiproxy's latency, bandwidth, slices, black holes, resets, cut answers, no proxy: nothing lost, nothing twice" +
    (command === undefined ? " (no toxiproxy-server on PATH, none in ORDERFLOW_TOXIPROXY)" : ""),
  ignore: command === undefined,
  async fn() {
    await using line = await ToxicLine.start(command ?? "");
    await surviveTroubles({
      address: line.address,
      network: line,
      heal: () => line.heal(),
      troubles: TROUBLES,
      roundCount: scaled({ long: 6, short: 1 }),
    });
  },
});
