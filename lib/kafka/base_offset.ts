/**
 * Checks a broker's answer to a send. Within one producer base offsets only grow; one that does not belongs to records
 * that were stored before.
 */

import type { RecordMetadata } from "kafkajs";
import { DeliveryError } from "./errors.ts";

/**
 * Returns the offset of the first record that was stored.
 *
 * @param lastBaseOffsets this producer's last base offset by topic and partition; updated by the call.
 * @throws {DeliveryError} if the answer does not prove that these records, and no earlier ones, were stored.
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
