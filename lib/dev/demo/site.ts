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
    };
  }
  const name = `orderflow-demo-${crypto.randomUUID().slice(0, 8)}`;
  return {
    broker: address,
    topic: name,
    deadLetterTopic: `${name}-dlq`,
    group: name,
    logs: `logs/${name}`,
  };
}
