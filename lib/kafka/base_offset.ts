/**
 * What a broker answers to a send, looked at twice: within one producer offsets only grow, and one that does
 * not is that of a record stored before.
 *
 * @module
 */

import type { RecordMetadata } from "kafkajs";
import { DeliveryError } from "./errors.ts";

/**
 * The first offset at which records were stored.
 *
 * @param lastBaseOffsets what this producer was told so far, by topic and partition; the answer is added.
 * @throws {DeliveryError} where the answer does not say that these records, and no earlier ones, are stored.
 */
export function checkedBaseOffset(
  report: readonly RecordMetadata[],
  { lastBaseOffsets, topic, partition }: {
    readonly lastBaseOffsets: Map<string, number>;
    readonly topic: string;
    readonly partition: number;
  },
): number {
  const unknown = (cause: Error) =>
    new DeliveryError({ topic, partition, fate: "unknown", reason: "UNTRUSTED_ANSWER", cause });
  const [answer] = report;
  if (report.length !== 1 || answer?.partition !== partition || answer.errorCode !== 0) {
    throw unknown(new RangeError(`expected an answer for partition ${partition} alone`));
  }
  const baseOffset = Number(answer.baseOffset ?? -1);
  const key = `${topic}/${partition}`;
  const lastBaseOffset = lastBaseOffsets.get(key) ?? -1;
  if (!Number.isSafeInteger(baseOffset) || baseOffset <= lastBaseOffset) {
    throw unknown(
      new RangeError(`expected a base offset above ${lastBaseOffset}, got ${answer.baseOffset}`),
    );
  }
  lastBaseOffsets.set(key, baseOffset);
  return baseOffset;
}
