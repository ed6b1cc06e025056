/**
 * OffsetForLeaderEpoch (API key 23, version 3): where a leader epoch ends in a partition's log (KIP-101, KIP-320).
 * A client that holds records of an epoch finds out by it whether the log was truncated since.
 *
 *     request    replica id i32 (-1: a consumer) · topics [ name · partitions [ partition i32
 *                · current leader epoch i32 · leader epoch i32 ] ]
 *     response   throttle time ms i32 · topics [ name · partitions [ error code i16 · partition i32
 *                · leader epoch i32 · end offset i64 ] ]
 *
 * https://kafka.apache.org/protocol#The_Messages_OffsetForLeaderEpoch
 *
 * @module
 */

import decoderModule from "kafkajs/src/protocol/decoder.js";
import encoderModule from "kafkajs/src/protocol/encoder.js";

/** A question for the leader of one partition. */
export interface EpochEndQuestion {
  readonly topic: string;
  readonly partition: number;
  /**
   * Leader epoch of the partition as the client knows it. A broker that knows an older one answers
   * UNKNOWN_LEADER_EPOCH, one that knows a newer one FENCED_LEADER_EPOCH.
   */
  readonly currentLeaderEpoch: number;
  /** The epoch whose end is asked for. */
  readonly epoch: number;
}

/** Where an epoch ends in a log. */
export interface EpochEnd {
  /** The highest epoch in the log that is not above the one asked for. */
  readonly epoch: number;
  /** First offset of the next epoch, or the log's end where there is none. */
  readonly endOffset: number;
}

export interface EpochEndAnswer {
  /** Protocol error code; 0 is success. */
  readonly errorCode: number;
  /** How long the broker asks to wait before the next request, in milliseconds; kafkajs waits by this name. */
  readonly clientSideThrottleTime: number;
  /** Undefined where the log has no such epoch: the protocol's (-1, -1). */
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

/** Encodes the question, as kafkajs takes the body of a request. */
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

/** @throws {RangeError} unless the response is about exactly one partition. */
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
