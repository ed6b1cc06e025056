/**
 * Encodes OffsetForLeaderEpoch (API key 23, version 3), which asks where a leader epoch ends in a partition's log
 * (KIP-101, KIP-320). A client uses it to find out whether the log was truncated after it read records.
 *
 *     request    replica id i32 (-1: a consumer) · topics [ name · partitions [ partition i32
 *                · current leader epoch i32 · leader epoch i32 ] ]
 *     response   throttle time ms i32 · topics [ name · partitions [ error code i16 · partition i32
 *                · leader epoch i32 · end offset i64 ] ]
 *
 * https://kafka.apache.org/protocol#The_Messages_OffsetForLeaderEpoch
 */

import decoderModule from "kafkajs/src/protocol/decoder.js";
import encoderModule from "kafkajs/src/protocol/encoder.js";

export interface EpochEndQuestion {
  readonly topic: string;
  readonly partition: number;
  /**
   * The partition's leader epoch as known to the client. A broker that knows an older one answers UNKNOWN_LEADER_EPOCH;
   * one that knows a newer one answers FENCED_LEADER_EPOCH.
   */
  readonly currentLeaderEpoch: number;
  readonly epoch: number;
}

export interface EpochEnd {
  /** The highest epoch in the log that is not above the requested one. */
  readonly epoch: number;
  /** The first offset of the next epoch, or the log's end. */
  readonly endOffset: number;
}

export interface EpochEndAnswer {
  /** Protocol error code; 0 is success. */
  readonly errorCode: number;
  /** The throttle time in milliseconds, under the name by which kafkajs applies it. */
  readonly clientSideThrottleTime: number;
  /** Undefined if the log has no such epoch: (-1, -1) in the protocol. */
  readonly end: EpochEnd | undefined;
}

interface Encoder {
  writeInt32(value: number): Encoder;
  writeString(value: string): Encoder;
}

interface Decoder {
  readInt16(): number;
  readInt32(): number;
  readInt64(): { toString(): string };
  readString(): string | null;
}

export const OFFSET_FOR_LEADER_EPOCH = {
  apiKey: 23,
  apiVersion: 3,
  apiName: "OffsetForLeaderEpoch",
} as const;

const REPLICA_ID_CONSUMER = -1;
const ONE = 1;
const UNDEFINED = -1;

export function encodeEpochEndRequest(
  { topic, partition, currentLeaderEpoch, epoch }: EpochEndQuestion,
): object {
  const Encoder = encoderModule as new () => Encoder;
  return new Encoder()
    .writeInt32(REPLICA_ID_CONSUMER)
    .writeInt32(ONE)
    .writeString(topic)
    .writeInt32(ONE)
    .writeInt32(partition)
    .writeInt32(currentLeaderEpoch)
    .writeInt32(epoch);
}

/** @throws {RangeError} if the response is not about exactly one partition. */
export function decodeEpochEndResponse(payload: unknown): EpochEndAnswer {
  const Decoder = decoderModule as new (payload: unknown) => Decoder;
  const decoder = new Decoder(payload);
  const clientSideThrottleTime = decoder.readInt32();
  const topicCount = decoder.readInt32();
  if (topicCount !== ONE) throw new RangeError(`expected an answer of 1 topic, got ${topicCount}`);
  decoder.readString();
  const partitionCount = decoder.readInt32();
  if (partitionCount !== ONE) {
    throw new RangeError(`expected an answer of 1 partition, got ${partitionCount}`);
  }
  const errorCode = decoder.readInt16();
  decoder.readInt32(); // partition
  const epoch = decoder.readInt32();
  const endOffset = Number(decoder.readInt64().toString());
  const isUndefined = epoch === UNDEFINED || endOffset === UNDEFINED;
  return {
    errorCode,
    clientSideThrottleTime,
    end: isUndefined ? undefined : { epoch, endOffset },
  };
}
