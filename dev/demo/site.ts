/**
 * Where a demo takes place.
 *
 * @module
 */

import type { EnsuredBroker } from "../ensure_broker.ts";

export interface DemoSite {
  readonly broker: string;
  readonly topic: string;
  readonly deadLetterTopic: string;
  readonly group: string;
  /** Folder of the journal and the log. */
  readonly logs: string;
  /** Whether the broker is to be found at its address again. */
  readonly isLasting: boolean;
}

/**
 * The usual names on a broker that the demo started. On another, which may be somebody's cluster, names
 * that nobody else has.
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

/** Names of its own for each run with troubles. */
export function chaosSite({ address }: EnsuredBroker): DemoSite {
  return siteOf(address, { name: `chaos-${randomId()}`, isLasting: false });
}

/** Names of its own for each soak. */
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
