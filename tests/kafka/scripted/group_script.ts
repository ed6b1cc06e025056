/**
 * The requests of a {@link ScriptedGroupCluster}, and the answers that a test can script.
 */

import type { Buffer } from "node:buffer";
import type { Assigned } from "./group_protocol.ts";

/** https://kafka.apache.org/protocol#protocol_error_codes */
export const ERROR = {
  none: 0,
  offsetOutOfRange: 1,
  unknownTopic: 3,
  leaderNotAvailable: 5,
  notLeader: 6,
  requestTimedOut: 7,
  replicaNotAvailable: 9,
  coordinatorLoading: 14,
  coordinatorNotAvailable: 15,
  notCoordinator: 16,
  illegalGeneration: 22,
  inconsistentGroupProtocol: 23,
  unknownMember: 25,
  rebalanceInProgress: 27,
  topicAuthorizationFailed: 29,
  groupAuthorizationFailed: 30,
  fencedLeaderEpoch: 74,
  unknownLeaderEpoch: 75,
} as const;

export interface AskedPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface CommittedNote {
  readonly offset: number;
  readonly metadata: string | null;
}

export interface SimulatedMember {
  readonly memberId: string;
  readonly topics: readonly string[];
}

export interface MemberRequest {
  readonly generation: number;
  readonly memberId: string;
}

export interface RequestBodies {
  readonly describeGroups: { readonly groupIds: readonly string[] };
  readonly fetch: {
    readonly partitions: readonly (AskedPartition & {
      readonly offset: number;
      readonly leaderEpoch: number;
      /** -1 if the client does not know it. */
      readonly lastFetchedEpoch: number;
    })[];
  };
  readonly findCoordinator: { readonly key: string };
  readonly heartbeat: MemberRequest;
  readonly joinGroup: {
    readonly memberId: string;
    readonly sessionTimeoutMs: number;
    readonly rebalanceTimeoutMs: number;
    readonly protocols: readonly {
      readonly name: string;
      readonly metadata: Buffer;
      readonly topics: readonly string[];
    }[];
  };
  readonly leaveGroup: { readonly memberId: string };
  readonly listOffsets: {
    readonly isCommittedOnly: boolean;
    readonly partitions: readonly (AskedPartition & { readonly timestamp: bigint })[];
  };
  readonly metadata: { readonly version: number; readonly topics: readonly string[] };
  readonly offsetCommit: MemberRequest & {
    readonly offsets: readonly (AskedPartition & CommittedNote)[];
  };
  readonly offsetFetch: { readonly partitions: readonly AskedPartition[] };
  readonly offsetForLeaderEpoch: {
    readonly partitions: readonly (AskedPartition & {
      readonly currentLeaderEpoch: number;
      readonly epoch: number;
    })[];
  };
  readonly syncGroup: MemberRequest & {
    /** By member id and topic; empty if the member is not the leader. */
    readonly assigned: ReadonlyMap<string, Assigned>;
  };
}

export type ApiName = keyof RequestBodies;

/** Requests by API, each with the node that received it. */
export type Requests = {
  readonly [Name in ApiName]: RequestBodies[Name] & { readonly nodeId: number };
};

/**
 * An error, of one partition if one is named, otherwise of the whole request; no answer; a closed connection; or
 * undefined for the answer that Kafka would give.
 */
export type ScriptedAnswer =
  | { readonly errorCode: number; readonly partition?: number }
  | "silence"
  | "hang up"
  | undefined;

export type Script = {
  [Name in ApiName]?:
    | ((request: Requests[Name]) => ScriptedAnswer | Promise<ScriptedAnswer>)
    | undefined;
};
