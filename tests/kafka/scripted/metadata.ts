/**
 * Encodes the metadata of a scripted cluster in version 1 (the client's own) and version 12 (with topic ids).
 *
 * https://kafka.apache.org/protocol#The_Messages_Metadata
 */

import { Buffer } from "node:buffer";
import type { ScriptedTopic } from "./topic.ts";
import {
  array,
  compactArray,
  compactText,
  int16,
  int32,
  int8,
  NO_TAGS,
  text,
  uvarint,
  type WireReader,
} from "./wire.ts";

export interface ClusterMetadata {
  readonly throttleMs: number;
  /** The first node's id is 1. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  readonly topics: readonly {
    readonly name: string;
    readonly topic: ScriptedTopic | undefined;
    readonly errorCode: number;
  }[];
}

const TOPIC_ID_BYTES = 16;
const CONTROLLER = 1;
/** The answer of a broker that was not asked for a user's permitted operations. */
const OPERATIONS_NOT_ASKED = -(2 ** 31);
const FLEXIBLE_VERSION = 9;

/** Returns the requested topics; undefined for all. */
export function readMetadataTopics(body: WireReader, version: number): string[] | undefined {
  if (version < FLEXIBLE_VERSION) {
    const count = body.int32();
    return count < 0 ? undefined : Array.from({ length: count }, () => body.text());
  }
  body.uvarint(); // header tags
  const count = body.uvarint() - 1;
  return count < 0 ? undefined : Array.from({ length: count }, () => {
    body.skip(TOPIC_ID_BYTES);
    const name = body.compactText();
    body.uvarint(); // tags
    return name;
  });
}

export function encodeMetadata({ nodes, topics }: ClusterMetadata): readonly Buffer[] {
  return [
    array(
      nodes.map((node, index) => ({ ...node, nodeId: index + 1 })),
      ({ nodeId, host, port }) => [
        ...[int32(nodeId), text(host), int32(port), text(null)],
      ],
    ),
    int32(CONTROLLER),
    array(topics, ({ name, topic, errorCode }) => [
      ...[int16(errorCode), text(name), int8(0)],
      array(placesOf(topic), ({ partition, leader }) => [
        ...[int16(0), int32(partition), int32(leader)],
        ...[int32(1), int32(leader), int32(1), int32(leader)],
      ]),
    ]),
  ];
}

export function encodeMetadata12(
  { throttleMs, nodes, topics }: ClusterMetadata,
): readonly Buffer[] {
  return [
    NO_TAGS, // ends the header
    int32(throttleMs),
    compactArray(
      nodes.map((node, index) => ({ ...node, nodeId: index + 1 })),
      ({ nodeId, host, port }) => [
        ...[int32(nodeId), compactText(host), int32(port), compactText(null), NO_TAGS],
      ],
    ),
    compactText("scripted"),
    int32(CONTROLLER),
    compactArray(topics, ({ name, topic, errorCode }) => [
      ...[int16(errorCode), compactText(name)],
      topic === undefined ? Buffer.alloc(TOPIC_ID_BYTES) : Buffer.from(topic.topicId, "hex"),
      int8(0), // is_internal
      compactArray(placesOf(topic), ({ partition, leader, leaderEpoch }) => [
        ...[int16(0), int32(partition), int32(leader), int32(leaderEpoch)],
        ...[oneNode(leader), oneNode(leader), uvarint(1), NO_TAGS],
      ]),
      ...[int32(OPERATIONS_NOT_ASKED), NO_TAGS],
    ]),
    NO_TAGS,
  ];
}

function placesOf(topic: ScriptedTopic | undefined) {
  return (topic?.partitions ?? []).map(({ leader, leaderEpoch }, partition) => ({
    partition,
    leader,
    leaderEpoch,
  }));
}

function oneNode(nodeId: number): Buffer {
  return compactArray([nodeId], (id) => [int32(id)]);
}
