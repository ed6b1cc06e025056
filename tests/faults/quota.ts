/**
 * Sets client quotas of a broker, as `kafka-configs.sh` does, by AlterClientQuotas v0.
 *
 * https://kafka.apache.org/protocol#The_Messages_AlterClientQuotas
 */

import { Buffer } from "node:buffer";
import encoderModule from "kafkajs/src/protocol/encoder.js";
import decoderModule from "kafkajs/src/protocol/decoder.js";
import { openClient } from "../../lib/kafka/client.ts";
import { createCluster } from "../../lib/kafka/kafkajs/client_cluster.ts";

interface Encoder {
  writeInt32(value: number): Encoder;
  writeString(value: string): Encoder;
  writeBoolean(value: boolean): Encoder;
  writeBuffer(bytes: Buffer): Encoder;
}

interface Decoder {
  readInt16(): number;
  readInt32(): number;
  readString(): string | null;
}

const ALTER_CLIENT_QUOTAS_API_KEY = 49;

export interface ClientQuota {
  readonly clientId: string;
  /** The client's limit on each broker, in bytes per second. */
  readonly name: "consumer_byte_rate" | "producer_byte_rate";
  /** Undefined removes the quota. */
  readonly byteRate: number | undefined;
}

/** Sets or removes the quota, and returns once the broker has accepted it. */
export async function setQuota(
  broker: string,
  quota: ClientQuota,
): Promise<void> {
  const cluster = createCluster(openClient({ brokers: [broker], clientId: "quota" }, "probe"));
  await cluster.connect();
  try {
    const node = await cluster.brokerPool.findConnectedBroker();
    await node.connectionPool.send({
      request: {
        apiKey: ALTER_CLIENT_QUOTAS_API_KEY,
        apiVersion: 0,
        apiName: "AlterClientQuotas",
        encode: () => Promise.resolve(encodeRequest(quota)),
      },
      response: {
        decode: (payload) => Promise.resolve(decodeResponse(payload)),
        parse: (decoded) => Promise.resolve(decoded),
      },
    });
  } finally {
    await cluster.disconnect();
  }
}

function encodeRequest({ clientId, name, byteRate }: ClientQuota): Encoder {
  const Encoder = encoderModule as new () => Encoder;
  const value = Buffer.alloc(8);
  value.writeDoubleBE(byteRate ?? 0);
  return new Encoder()
    .writeInt32(1) // entries
    .writeInt32(1) // entity
    .writeString("client-id")
    .writeString(clientId)
    .writeInt32(1) // operations
    .writeString(name)
    .writeBuffer(value)
    .writeBoolean(byteRate === undefined) // remove
    .writeBoolean(false); // validate_only
}

function decodeResponse(payload: unknown): object {
  const Decoder = decoderModule as new (payload: unknown) => Decoder;
  const decoder = new Decoder(payload);
  decoder.readInt32(); // throttle_time_ms
  for (let count = decoder.readInt32(); count > 0; count--) {
    const errorCode = decoder.readInt16();
    if (errorCode !== 0) {
      throw new Error(`the quota was refused: error code ${errorCode}, ${decoder.readString()}`);
    }
  }
  return {};
}
