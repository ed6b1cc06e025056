/**
 * Hooks into kafkajs's group membership: runs code before a join, requests a rejoin, and commits as the current member.
 */

import consumerGroupModule from "kafkajs/src/consumer/consumerGroup.js";
import syncGroupModule from "kafkajs/src/protocol/requests/syncGroup/index.js";

export interface GroupMember {
  /** Sends a heartbeat unless the last one is younger than `interval` milliseconds. */
  heartbeat(options: { readonly interval: number }): Promise<void>;
}

interface ConsumerGroup extends GroupMember {
  readonly cluster: { disconnect(): Promise<void> };
  readonly offsetManager: object | null;
  joinAndSync(): Promise<void>;
  heartbeat(options: { readonly interval: number }): Promise<void>;
  leave(): Promise<void>;
  commitOffsets(offsets: { readonly topics: readonly TopicCommits[] }): Promise<void>;
}

export interface TopicCommits {
  readonly topic: string;
  readonly partitions: readonly {
    readonly partition: number;
    readonly offset: string;
    readonly metadata: string;
  }[];
}

const JOIN_HOOKS = new WeakMap<object, (member: GroupMember) => Promise<void>>();
const JOINING = new WeakMap<ConsumerGroup, Promise<void>>();
const GROUPS = new WeakMap<object, ConsumerGroup>();
const REJOIN_REQUESTS = new WeakSet<object>();
const ABANDONED = new WeakSet<object>();

/**
 * Awaits a function before each join and rejoin of a consumer: the revoke hook that kafkajs lacks (#28). The member
 * holds its partitions until the function is done.
 *
 * @param cluster the consumer's connections, as passed to its partition assigner.
 */
export function beforeJoining(
  cluster: object,
  hook: (member: GroupMember) => Promise<void>,
): void {
  JOIN_HOOKS.set(cluster, hook);
}

/**
 * Makes a consumer rejoin its group at its next heartbeat, after it has finished work in progress. If it is the group's
 * leader, this starts a rebalance: all members rejoin, and partitions are reassigned.
 *
 * @param cluster the consumer's connections, as passed to its partition assigner.
 */
export function requestRejoin(cluster: object): void {
  REJOIN_REQUESTS.add(cluster);
}

/**
 * Prevents a consumer that is being disconnected from joining its group. kafkajs does not stop a consumer during its
 * first join: its requests reconnect, and once a broker answers, there is a member without an owner. It fetches, sends
 * heartbeats, and keeps its partitions from everyone else. Here it leaves the group at once.
 *
 * @param cluster the consumer's connections, as passed to its partition assigner.
 */
export function abandonMembership(cluster: object): void {
  ABANDONED.add(cluster);
}

/**
 * Returns a function that commits as the consumer's current member and generation. It throws once the consumer has
 * rejoined. kafkajs's own `consumer.commitOffsets` retries forever, and may then commit partitions of another member
 * in a later generation.
 *
 * @param cluster the consumer's connections, as passed to its partition assigner.
 */
export function committerOf(
  cluster: object,
): (topics: readonly TopicCommits[]) => Promise<void> {
  const group = GROUPS.get(cluster);
  const offsetManager = group?.offsetManager;
  return async (topics) => {
    if (group === undefined || group.offsetManager !== offsetManager) {
      throw rebalanceInProgress("this member has rejoined the group");
    }
    await group.commitOffsets({ topics });
  };
}

/** Creates the error that a coordinator would return: kafkajs ends all fetches, and the consumer rejoins. */
function rebalanceInProgress(message: string): Error {
  return Object.assign(new Error(message), { type: "REBALANCE_IN_PROGRESS" });
}

/** Creates an error that kafkajs does not retry. */
function abandoned(): Error {
  return Object.assign(new Error("the consumer was disconnected"), { retriable: false });
}

/** kafkajs's definition of a request and its response. */
interface RequestDefinition {
  protocol(options: { readonly version: number }): (fields: object) => object;
}

/**
 * The coordinator answers SyncGroup when the leader has assigned the partitions, or when the leader's session has timed
 * out (10 s by default). With the timeout of other requests a member would give up while a busy leader is still
 * assigning.
 */
const SYNC_TIMEOUT_MS = 15_000;

let isHooked = false;

/**
 * Enables {@link beforeJoining}, {@link requestRejoin}, and {@link committerOf}, and makes concurrent joins of a
 * consumer share one request. kafkajs joins once per broker if several fetches notice the same change: the coordinator
 * answers only the last of these requests, and the other fetches stall until theirs time out.
 *
 * Changes the prototype, because kafkajs does not expose the instance. Consumers without a hook are not affected.
 */
export function hookGroupMembers(): void {
  if (isHooked) return;
  isHooked = true;
  const { prototype } = consumerGroupModule as { prototype: ConsumerGroup };
  const { joinAndSync, heartbeat } = prototype;
  const join = async (group: ConsumerGroup) => {
    const { cluster } = group;
    await JOIN_HOOKS.get(cluster)?.(group);
    if (ABANDONED.has(cluster)) throw abandoned();
    REJOIN_REQUESTS.delete(cluster);
    GROUPS.set(cluster, group);
    try {
      await joinAndSync.call(group);
    } catch (error) {
      // kafkajs continues to fetch. If JoinGroup was answered and SyncGroup was not, its heartbeats are accepted,
      // because they have the new generation, but its commits are refused, because they have the old one: it would
      // never rejoin.
      REJOIN_REQUESTS.add(cluster);
      throw error;
    }
    if (!ABANDONED.has(cluster)) return;
    await group.leave().catch(() => {}); // on failure, the session times out
    await cluster.disconnect();
    throw abandoned();
  };
  prototype.joinAndSync = function (this: ConsumerGroup): Promise<void> {
    if (!JOIN_HOOKS.has(this.cluster)) return joinAndSync.call(this);
    const joining = JOINING.get(this) ?? join(this).finally(() => JOINING.delete(this));
    JOINING.set(this, joining);
    return joining;
  };
  giveSyncMoreTime();
  prototype.heartbeat = async function (this: ConsumerGroup, options): Promise<void> {
    if (REJOIN_REQUESTS.delete(this.cluster)) {
      throw rebalanceInProgress("the group's assignment is outdated");
    }
    await heartbeat.call(this, options);
  };
}

/** Affects all clients in this process, which only wait longer. */
function giveSyncMoreTime(): void {
  const definition = syncGroupModule as RequestDefinition;
  const { protocol } = definition;
  definition.protocol = (options) => {
    const create = protocol(options);
    return (fields) => ({ ...create(fields), requestTimeout: SYNC_TIMEOUT_MS });
  };
}
