/**
 * Hooks into kafkajs's membership of a group: before it joins, to have it join again, and to commit as the
 * member that it is now.
 *
 * @module
 */

import consumerGroupModule from "kafkajs/src/consumer/consumerGroup.js";
import syncGroupModule from "kafkajs/src/protocol/requests/syncGroup/index.js";

/** kafkajs's membership of a group. */
export interface GroupMember {
  /** Sends a heartbeat unless the last one is younger than `interval` milliseconds. */
  heartbeat(options: { readonly interval: number }): Promise<void>;
}

interface ConsumerGroup extends GroupMember {
  readonly cluster: { disconnect(): Promise<void> };
  /** Another one after each join. */
  readonly offsetManager: object | null;
  joinAndSync(): Promise<void>;
  heartbeat(options: { readonly interval: number }): Promise<void>;
  leave(): Promise<void>;
  commitOffsets(offsets: { readonly topics: readonly TopicCommits[] }): Promise<void>;
}

/** Offsets of a topic to commit. */
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
 * Has a function awaited each time before a consumer joins its group, again or for the first time: the
 * revoke hook that kafkajs lacks (#28). The member has its partitions until the function is done.
 *
 * @param cluster that of the consumer, as its partition assigner is given it.
 */
export function beforeJoining(
  cluster: object,
  hook: (member: GroupMember) => Promise<void>,
): void {
  JOIN_HOOKS.set(cluster, hook);
}

/**
 * Has a consumer join its group again at its next heartbeat, with the work in hand finished first. Where it is the
 * group's leader, the coordinator then has every member join again, and partitions are assigned anew.
 *
 * @param cluster that of the consumer, as its partition assigner is given it.
 */
export function requestRejoin(cluster: object): void {
  REJOIN_REQUESTS.add(cluster);
}

/**
 * Has a consumer that is being disconnected not join its group any more. kafkajs does not stop a consumer that is
 * joining for the first time: its requests connect again, and once a broker answers there is a member that nobody
 * owns. It fetches, sends heartbeats, and keeps its partitions from everyone else. Here it leaves the group at once.
 *
 * @param cluster that of the consumer, as its partition assigner is given it.
 */
export function abandonMembership(cluster: object): void {
  ABANDONED.add(cluster);
}

/**
 * Returns a function that commits as the member that a consumer is now. It throws once the consumer has joined again:
 * kafkajs's own `consumer.commitOffsets` tries again without end, and then commits as the member of another
 * generation what may be another member's partitions.
 *
 * @param cluster that of the consumer, as its partition assigner is given it.
 */
export function committerOf(
  cluster: object,
): (topics: readonly TopicCommits[]) => Promise<void> {
  const group = GROUPS.get(cluster);
  const offsetManager = group?.offsetManager;
  return async (topics) => {
    if (group === undefined || group.offsetManager !== offsetManager) {
      throw rebalanceInProgress("this member has joined its group again");
    }
    await group.commitOffsets({ topics });
  };
}

/** As a coordinator says it, so that kafkajs acts on it: all fetches end, and the consumer joins again. */
function rebalanceInProgress(message: string): Error {
  return Object.assign(new Error(message), { type: "REBALANCE_IN_PROGRESS" });
}

/** An error that kafkajs does not try again. */
function abandoned(): Error {
  return Object.assign(new Error("the consumer was disconnected"), { retriable: false });
}

/** How kafkajs defines a request: its bytes, and what is made of the answer. */
interface RequestDefinition {
  protocol(options: { readonly version: number }): (fields: object) => object;
}

/**
 * A coordinator answers SyncGroup once the leader has assigned the partitions, or is known to be gone: after its session,
 * 10 s by default. With the timeout of other requests a member would give up while a busy leader is still assigning.
 */
const SYNC_TIMEOUT_MS = 15_000;

let isHooked = false;

/**
 * Makes {@link beforeJoining}, {@link requestRejoin}, and {@link committerOf} work for consumers that have a hook, and
 * has joins that begin while one is under way share it. By itself kafkajs joins once per broker where several fetches
 * notice the same change: the coordinator answers only the last of these requests, and the other fetches stand still
 * until theirs time out.
 *
 * The prototype is changed because kafkajs never hands out the instance. Consumers without a hook behave as before.
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
      // kafkajs goes on fetching. If JoinGroup was answered and SyncGroup was not, its heartbeats are taken, as those of a
      // member of the new generation, and its commits refused, as those of the old one: it would never join again.
      REJOIN_REQUESTS.add(cluster);
      throw error;
    }
    if (!ABANDONED.has(cluster)) return;
    await group.leave().catch(() => {}); // else its session ends by itself
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
      throw rebalanceInProgress("the group's assignment is out of date");
    }
    await heartbeat.call(this, options);
  };
}

/** Concerns all clients of this process; it only makes them wait longer. */
function giveSyncMoreTime(): void {
  const definition = syncGroupModule as RequestDefinition;
  const { protocol } = definition;
  definition.protocol = (options) => {
    const create = protocol(options);
    return (fields) => ({ ...create(fields), requestTimeout: SYNC_TIMEOUT_MS });
  };
}
