/**
 * Brokers that go away for a while: it is logged, and reading goes on where it broke off.
 *
 * @module
 */

import { BrokerUnreachableError, scopeOf } from "../../kafka/errors.ts";
import type { KafkaRecord } from "../../kafka/record.ts";
import type { PartitionRange, TopicReader } from "../../kafka/topic_reader.ts";
import type { Logger } from "../../log.ts";

const RETRY_WAIT_MS = 500;
const WARN_AFTER_MS = 5_000;
/** Failures in a row of brokers that answer, and are not ready: longer than this is no restart. */
const NOT_READY_COUNT_MAX = 60;

/** Whether an error is that of brokers that are away, starting, or moving partitions. Never throws. */
export function isBrokerAway(error: unknown): boolean {
  return error instanceof BrokerUnreachableError || scopeOf(error) === "passing";
}

/** Does the work, and logs it once where it takes long: the client waits for brokers without a word. */
export async function warnWhenSlow<Result>(
  log: Logger,
  work: () => Promise<Result>,
): Promise<Result> {
  let isSlow = false;
  const timer = setTimeout(() => {
    isSlow = true;
    log.warn("The cluster is slow to answer; the redrive waits for it");
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
export async function* readThroughRestarts(
  reader: TopicReader,
  range: PartitionRange,
  log: Logger,
): AsyncGenerator<readonly KafkaRecord[]> {
  let { start } = range;
  for (let notReadyCount = 0;;) {
    try {
      for await (const records of reader.read({ ...range, start })) {
        start = (records.at(-1)?.offset ?? start - 1) + 1;
        notReadyCount = 0;
        yield records;
      }
      return;
    } catch (error) {
      if (!isBrokerAway(error)) throw error;
      const isNotReady = !(error instanceof BrokerUnreachableError);
      if (isNotReady && ++notReadyCount === NOT_READY_COUNT_MAX) throw error;
      log.warn("Reading broke off and is taken up again", { ...range, start, error });
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_WAIT_MS));
  }
}
