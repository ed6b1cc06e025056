/**
 * Going on where brokers go away for a while: it is said, and a reading is taken up where it broke off.
 *
 * @module
 */

import { BrokerUnreachableError, isPassing, RefusedError } from "../../kafka/errors.ts";
import type { KafkaRecord } from "../../kafka/record.ts";
import type { PartitionRange, TopicReader } from "../../kafka/topic_reader.ts";
import type { Logger } from "../../log.ts";

const RETRY_WAIT_MS = 500;
const WARN_AFTER_MS = 5_000;
/** Brokers that answer, and are not ready: for longer than this it is no restart. */
const NOT_READY_ATTEMPTS_MAX = 60;

/** Answers about a partition that moves to another broker, or whose broker has just started. */
const NOT_READY: ReadonlySet<string> = new Set([
  "FENCED_LEADER_EPOCH",
  "LEADER_NOT_AVAILABLE",
  "NETWORK_EXCEPTION",
  "NOT_LEADER_OR_FOLLOWER",
  "OFFSET_NOT_AVAILABLE",
  "REPLICA_NOT_AVAILABLE",
  "UNKNOWN_LEADER_EPOCH",
]);

/** Whether brokers are away, or not ready: `away` can last, `not ready` cannot. Never throws. */
export function absenceOf(error: unknown): "away" | "not ready" | undefined {
  if (error instanceof BrokerUnreachableError) return "away";
  const isNotReady = isPassing(error) ||
    error instanceof RefusedError && NOT_READY.has(error.reason);
  return isNotReady ? "not ready" : undefined;
}

/** Does the work and says it once where it takes long: the client waits for brokers without a word. */
export async function saidWhenSlow<Result>(
  log: Logger,
  work: () => Promise<Result>,
): Promise<Result> {
  let isSlow = false;
  const timer = setTimeout(() => {
    isSlow = true;
    log.warn("The cluster is long in answering; the redrive waits for it");
  }, WARN_AFTER_MS);
  try {
    const result = await work();
    if (isSlow) log.info("The cluster has answered");
    return result;
  } finally {
    clearTimeout(timer);
  }
}

/** As {@link TopicReader.read}, through a broker's restart. */
export async function* readPatiently(
  reader: TopicReader,
  range: PartitionRange,
  { log }: { readonly log: Logger },
): AsyncGenerator<readonly KafkaRecord[]> {
  let { start } = range;
  for (let notReady = 0;;) {
    try {
      for await (const batch of reader.read({ ...range, start })) {
        const records = Array.from(batch);
        start = (records.at(-1)?.offset ?? start - 1) + 1;
        notReady = 0;
        yield records;
      }
      return;
    } catch (error) {
      const absence = absenceOf(error);
      if (absence === undefined) throw error;
      if (absence === "not ready" && ++notReady === NOT_READY_ATTEMPTS_MAX) throw error;
      log.warn("The reading broke off; it is taken up again", { ...range, start, error });
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_WAIT_MS));
  }
}
