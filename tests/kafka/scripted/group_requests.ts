/**
 * Decodes the requests of a consumer group member, each in the version that a {@link ScriptedGroupCluster} supports.
 */

import { partitionsIn, topicsIn } from "./group_protocol.ts";
import type { RequestBodies } from "./group_script.ts";
import type { WireReader } from "./wire.ts";

export function readFindCoordinator(body: WireReader): RequestBodies["findCoordinator"] {
  return { key: body.text() };
}

export function readJoinGroup(body: WireReader): RequestBodies["joinGroup"] {
  body.text(); // group id
  const [sessionTimeoutMs, rebalanceTimeoutMs] = [body.int32(), body.int32()];
  const memberId = body.text();
  body.text(); // group instance id
  body.text(); // protocol type
  const protocols = body.array(() => {
    const [name, metadata] = [body.text(), body.bytes()];
    return { name, metadata, topics: topicsIn(metadata) };
  });
  return { memberId, sessionTimeoutMs, rebalanceTimeoutMs, protocols };
}

export function readSyncGroup(body: WireReader): RequestBodies["syncGroup"] {
  body.text(); // group id
  const [generation, memberId] = [body.int32(), body.text()];
  body.text(); // group instance id
  const assigned = body.array(() => [body.text(), partitionsIn(body.bytes())] as const);
  return { generation, memberId, assigned: new Map(assigned) };
}

export function readHeartbeat(body: WireReader): RequestBodies["heartbeat"] {
  body.text(); // group id
  return { generation: body.int32(), memberId: body.text() };
}

export function readLeaveGroup(body: WireReader): RequestBodies["leaveGroup"] {
  body.text(); // group id
  return { memberId: body.text() };
}

export function readOffsetFetch(body: WireReader): RequestBodies["offsetFetch"] {
  body.text(); // group id
  return { partitions: readPartitions(body, () => ({ partition: body.int32() })) };
}

export function readOffsetCommit(body: WireReader): RequestBodies["offsetCommit"] {
  body.text(); // group id
  const [generation, memberId] = [body.int32(), body.text()];
  const offsets = readPartitions(body, () => ({
    partition: body.int32(),
    offset: Number(body.int64()),
    metadata: body.nullableText(),
  }));
  return { generation, memberId, offsets };
}

export function readListOffsets(
  body: WireReader,
  version: number,
): RequestBodies["listOffsets"] {
  body.int32(); // replica id
  const isCommittedOnly = version >= 2 && body.int8() === 1;
  const partitions = readPartitions(body, () => ({
    partition: body.int32(),
    timestamp: body.int64(),
  }));
  return { isCommittedOnly, partitions };
}

export function readDescribeGroups(body: WireReader): RequestBodies["describeGroups"] {
  return { groupIds: body.array(() => body.text()) };
}

/** Decodes version 12, which is a flexible version. */
export function readFetch(body: WireReader): RequestBodies["fetch"] {
  body.uvarint(); // header tags
  body.skip(4 + 4 + 4 + 4 + 1 + 4 + 4); // replica id to session epoch
  const partitions = body.compactArray(() => {
    const topic = body.compactText();
    const asked = body.compactArray(() => {
      const [partition, leaderEpoch, offset] = [body.int32(), body.int32(), Number(body.int64())];
      const lastFetchedEpoch = body.int32();
      body.skip(8 + 4); // log start offset, bytes
      body.uvarint(); // tags
      return { topic, partition, leaderEpoch, offset, lastFetchedEpoch };
    });
    body.uvarint(); // tags
    return asked;
  }).flat();
  return { partitions };
}

export function readEpochQuestions(body: WireReader): RequestBodies["offsetForLeaderEpoch"] {
  body.int32(); // replica id
  const partitions = readPartitions(body, () => ({
    partition: body.int32(),
    currentLeaderEpoch: body.int32(),
    epoch: body.int32(),
  }));
  return { partitions };
}

/** Reads the partitions of all topics, each with its topic's name. */
function readPartitions<Partition extends object>(
  body: WireReader,
  partition: () => Partition,
): (Partition & { readonly topic: string })[] {
  return body.array(() => {
    const topic = body.text();
    return body.array(partition).map((each) => ({ ...each, topic }));
  }).flat();
}
