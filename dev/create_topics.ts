/**
 * Creates topics with one request of Kafka's protocol and without a client, so that the development broker needs no
 * more permissions than to start.
 *
 * CreateTopics v4: https://kafka.apache.org/protocol#The_Messages_CreateTopics
 */

import { delay } from "../lib/async.ts";
import { ask, request } from "./kafka_probe.ts";

const CREATE_TOPICS = 19;
/** The first version in which -1 means the cluster's default replication factor, and the last without tagged fields. */
const CREATE_TOPICS_VERSION = 4;
const TIMEOUT_MS = 5_000;
const RETRY_TIMEOUT_MS = 10_000;
const POLL_MS = 100;
const TOPIC_ALREADY_EXISTS = 36;

export interface NewTopic {
  readonly topic: string;
  readonly partitionCount: number;
  readonly config?: Readonly<Record<string, string>>;
}

/**
 * Creates missing topics. Retries for 10 s, because a cluster that has just started may not be able to yet.
 *
 * @throws {Error} if the broker does not answer, or refuses a topic.
 */
export async function createTopics(address: string, topics: readonly NewTopic[]): Promise<void> {
  const deadline = performance.now() + RETRY_TIMEOUT_MS;
  for (;;) {
    try {
      return await createOnce(address, topics);
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await delay(POLL_MS);
    }
  }
}

async function createOnce(address: string, topics: readonly NewTopic[]): Promise<void> {
  const body = new Uint8Array(encodeRequest(topics));
  const answer = await ask(
    address,
    request(CREATE_TOPICS, CREATE_TOPICS_VERSION, body),
    TIMEOUT_MS,
  );
  if (answer === undefined) throw new Error("the broker does not answer");
  for (const { topic, errorCode } of decodeAnswer(answer)) {
    if (errorCode === 0 || errorCode === TOPIC_ALREADY_EXISTS) continue;
    throw new Error(`topic "${topic}" is refused with Kafka's error code ${errorCode}`);
  }
}

function encodeRequest(topics: readonly NewTopic[]): readonly number[] {
  const clusterDefault = -1;
  return [
    ...int32(topics.length),
    ...topics.flatMap(({ topic, partitionCount, config = {} }) => [
      ...string(topic),
      ...int32(partitionCount),
      ...int16(clusterDefault),
      ...int32(0), // no replica assignments
      ...int32(Object.keys(config).length),
      ...Object.entries(config).flatMap(([name, value]) => [...string(name), ...string(value)]),
    ]),
    ...int32(TIMEOUT_MS),
    0, // not validate-only
  ];
}

/**
 * The answer has four bytes of throttle time, then name:string, error code:int16, and error message:nullable string
 * for each topic.
 */
function decodeAnswer(
  answer: DataView,
): readonly { readonly topic: string; readonly errorCode: number }[] {
  let position = 8;
  return Array.from({ length: answer.getInt32(4) }, () => {
    const nameBytes = answer.getInt16(position);
    const name = new Uint8Array(answer.buffer, answer.byteOffset + position + 2, nameBytes);
    position += 2 + nameBytes;
    const errorCode = answer.getInt16(position);
    position += 2;
    position += 2 + Math.max(0, answer.getInt16(position));
    return { topic: new TextDecoder().decode(name), errorCode };
  });
}

function int32(value: number): readonly number[] {
  return [value >> 24 & 0xff, value >> 16 & 0xff, value >> 8 & 0xff, value & 0xff];
}

function int16(value: number): readonly number[] {
  return [value >> 8 & 0xff, value & 0xff];
}

function string(text: string): readonly number[] {
  const bytes = new TextEncoder().encode(text);
  return [...int16(bytes.length), ...bytes];
}
