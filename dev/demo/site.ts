/**
 * The topics, group, and folder of a demo.
 */

import type { EnsuredBroker } from "../ensure_broker.ts";

export interface DemoSite {
  readonly broker: string;
  readonly topic: string;
  readonly deadLetterTopic: string;
  readonly group: string;
  readonly logs: string;
  /** True if the broker stays available at its address. */
  readonly isLasting: boolean;
}

/**
 * Returns the default names on a broker that the demo started, and unique names on an existing one, which may be
 * shared.
 */
export function demoSite({ address, startedHere }: EnsuredBroker): DemoSite {
  if (startedHere) {
    return {
      broker: address,
      topic: "orders",
      deadLetterTopic: "orders-dlq",
      group: "order-tracker-group",
      logs: "logs",
      isLasting: true,
    };
  }
  return siteOf(address, { name: `orderflow-demo-${randomId()}`, isLasting: true });
}

/** Returns unique names for each run with faults. */
export function chaosSite({ address }: EnsuredBroker): DemoSite {
  return siteOf(address, { name: `chaos-${randomId()}`, isLasting: false });
}

/** Returns unique names for each soak. */
export function soakSite({ address }: EnsuredBroker): DemoSite {
  return siteOf(address, { name: `soak-${randomId()}`, isLasting: false });
}

function randomId(): string {
  return crypto.randomUUID().slice(0, 8);
}

function siteOf(
  broker: string,
  { name, isLasting }: { readonly name: string; readonly isLasting: boolean },
): DemoSite {
  const deadLetterTopic = `${name}-dlq`;
  return { broker, topic: name, deadLetterTopic, group: name, logs: `logs/${name}`, isLasting };
}
