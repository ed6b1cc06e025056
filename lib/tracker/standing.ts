/**
 * Determines a tracker's state, whether it is ready, and why not. Every state in which records are available but do not
 * advance has a reason.
 *
 *     starting    has not joined the consumer group yet
 *     consuming   reads its partitions, or has read them to their ends
 *     waiting     continues by itself when the cluster or another program allows it: brokers unreachable, throttled, a
 *                 rebalance, missing topic, an open transaction, no partition for this member
 *     blocked     continues when someone has fixed the cause: disk full, dead letters refused, an unreadable batch, a
 *                 stuck handler, commits refused
 *     stopping, stopped
 *
 * Pure.
 */

import type { ConsumerStanding, PartitionStanding } from "../kafka/consumer/api.ts";
import type { Hindrance } from "../kafka/consumer/liveness.ts";
import { wordsFor } from "../kafka/error_classifier.ts";
import { counted } from "../text.ts";
import type { BlockedLetter } from "./dead_letters.ts";
import type { TrackerState } from "../tracker_status.ts";

export interface HandlerCall {
  readonly offset: number;
  readonly forMs: number;
}

export interface Observation {
  readonly topic: string;
  readonly isStopping: boolean;
  readonly hasJoined: boolean;
  /** True if the starts of the partitions are decided. */
  readonly isPlaced: boolean;
  /** Why the journal cannot be written; undefined if it can. */
  readonly stallReason: string | undefined;
  readonly consumer: ConsumerStanding;
  readonly blockedLetters: ReadonlyMap<number, BlockedLetter>;
  readonly handlerCalls: ReadonlyMap<number, HandlerCall>;
  /** Returns for how many milliseconds a partition has not advanced although it may have records; 0 if it advances. */
  readonly stillMs: (partition: PartitionStanding) => number;
  /** Time for which partitions have been unassigned, in milliseconds. */
  readonly unassignedMs: number;
}

export interface Standing {
  readonly state: TrackerState;
  /** True if records are being journaled, or there are none. */
  readonly isReady: boolean;
  /** Always defined if not ready. */
  readonly reason: string | undefined;
  /** Why partitions do not advance, or may stop advancing. */
  readonly partitionReasons: ReadonlyMap<number, string>;
  /** True if something that is logged elsewhere keeps all partitions from advancing. */
  readonly hasCommonCause: boolean;
}

/** Handler calls that take longer are reported. */
export const SLOW_CALL_MS = 10_000;
const UNASSIGNED_AFTER_MS = 10_000;

interface Reason {
  readonly state: "waiting" | "blocked";
  readonly isReady: boolean;
  readonly text: string;
}

export function assess(observation: Observation): Standing {
  const { isStopping, hasJoined, consumer } = observation;
  const ofPartitions = new Map(
    consumer.partitions.flatMap((partition) => {
      const reason = partitionReason(partition, observation);
      return reason === undefined ? [] : [[partition.partition, reason] as const];
    }),
  );
  const partitionReasons = new Map([...ofPartitions].map(([key, { text }]) => [key, text]));
  const hasCommonCause = commonCause(observation) !== undefined;
  if (isStopping) {
    const reason = "stopping";
    return { state: "stopping", isReady: false, reason, partitionReasons, hasCommonCause };
  }
  const reason = overallReason(observation, [...ofPartitions.values()]);
  const { state = "consuming", isReady = true, text } = reason ?? {};
  return {
    state: hasJoined || state === "blocked" ? state : "starting",
    isReady,
    reason: text,
    partitionReasons,
    hasCommonCause,
  };
}

/** Returns the cause that keeps all partitions from advancing. */
function commonCause(
  { topic, stallReason, consumer: { hindrance } }: Observation,
): Reason | undefined {
  if (stallReason !== undefined) {
    return blocked(`the journal cannot be written: ${stallReason}`);
  }
  // A throttled client moves, slowly.
  if (hindrance === undefined || hindrance.kind === "throttled") return undefined;
  return { state: "waiting", isReady: false, text: hindranceText(hindrance, topic) };
}

/** Returns the partitions that do not move until someone has removed the cause. */
export function blockedPartitions(observation: Observation): readonly number[] {
  const { stallReason, consumer: { commitFailure, partitions } } = observation;
  const isAll = stallReason !== undefined || commitFailure !== undefined;
  return partitions
    .filter((each) => isAll || partitionReason(each, observation)?.state === "blocked")
    .map(({ partition }) => partition);
}

/** Returns the most important reason. */
function overallReason(
  observation: Observation,
  ofPartitions: readonly Reason[],
): Reason | undefined {
  const common = commonCause(observation);
  if (common !== undefined) return common;
  const { topic, consumer, isPlaced } = observation;
  const { hindrance, commitFailure, partitions } = consumer;
  if (!isPlaced) return { state: "waiting", isReady: false, text: NOT_IN_GROUP };
  if (commitFailure !== undefined) return blocked(`commits fail: ${commitFailure}`);
  const worst = ofPartitions.find(({ isReady, state }) => !isReady && state === "blocked") ??
    ofPartitions.find(({ isReady }) => !isReady);
  if (worst !== undefined) {
    const others = ofPartitions.filter(({ isReady }) => !isReady).length - 1;
    return others === 0
      ? worst
      : { ...worst, text: `${worst.text} (and ${counted(others, "more partition")})` };
  }
  const unassigned = unassignedReason(observation);
  if (unassigned !== undefined) return unassigned;
  if (hindrance !== undefined) {
    // Throttled, but advancing slowly.
    return { state: "waiting", isReady: true, text: hindranceText(hindrance, topic) };
  }
  if (partitions.length === 0) {
    return { state: "waiting", isReady: true, text: "the group has no partition for this member" };
  }
  // A transaction that was opened recently.
  return ofPartitions[0];
}

function unassignedReason(
  { consumer: { unassigned = [] }, unassignedMs, topic }: Observation,
): Reason | undefined {
  if (unassigned.length === 0 || unassignedMs < UNASSIGNED_AFTER_MS) return undefined;
  return {
    state: "waiting",
    isReady: false,
    text: `no member of the group has ${
      unassigned.map((partition) => place(topic, partition)).join(", ")
    }`,
  };
}

const NOT_IN_GROUP = "not in the consumer group yet";

/** Describes a hindrance for `/ready`, the status file, and the log. */
export function hindranceText(hindrance: Hindrance, topic: string): string {
  switch (hindrance.kind) {
    case "unreachable":
      return `no broker has answered for ${seconds(hindrance.forMs)} s`;
    case "refused":
      return `the cluster refuses this client: ${wordsFor(hindrance.reason)}`;
    case "topic-missing":
      return `topic "${topic}" does not exist`;
    case "throttled":
      return "throttled: the brokers slow this client down because it has used up its quota";
    case "joining":
      return hindrance.isFirst
        ? NOT_IN_GROUP
        : `the consumer group has been rebalancing for ${seconds(hindrance.forMs)} s`;
    case "failing":
      return `brokers answer, but nothing has succeeded for ${seconds(hindrance.forMs)} s` +
        (hindrance.reason === undefined ? "" : ` (${wordsFor(hindrance.reason)})`);
  }
}

function partitionReason(
  standing: PartitionStanding,
  observation: Observation,
): Reason | undefined {
  const { topic, blockedLetters, handlerCalls, stillMs, consumer } = observation;
  const { partition, lag, unreadable, openTransaction } = standing;
  const here = place(topic, partition);
  const letter = blockedLetters.get(partition);
  if (letter !== undefined) {
    return blocked(
      `dead letters cannot be sent: ${here} waits at offset ${letter.offset}: ${letter.error}`,
    );
  }
  if (unreadable !== undefined) {
    return blocked(`${here} cannot be read at offset ${unreadable.offset}: ${unreadable.reason}`);
  }
  const stillForMs = stillMs(standing);
  const call = handlerCalls.get(partition);
  if (call !== undefined && call.forMs >= SLOW_CALL_MS) {
    return blocked(
      `the handler has not finished ${here} offset ${call.offset} for ${seconds(call.forMs)} s`,
    );
  }
  if (openTransaction !== undefined) {
    const { firstOffset, recordCount, openMs } = openTransaction;
    return {
      state: "waiting",
      isReady: stillForMs === 0,
      text: `${here} waits behind a transaction that has been open for ${seconds(openMs)} s: ` +
        `${counted(recordCount, "record")} from offset ${firstOffset} on`,
    };
  }
  if (stillForMs === 0) return undefined;
  const still = `${here} has not advanced for ${seconds(stillForMs)} s`;
  const common = commonCause(observation);
  if (common !== undefined) return { ...common, text: `${still}: ${common.text}` };
  const { hindrance } = consumer;
  if (hindrance !== undefined) {
    const text = `${still}: ${hindranceText(hindrance, topic)}`;
    return { state: "waiting", isReady: false, text };
  }
  const records = lag === undefined ? "its lag is not known" : `${counted(lag, "record")} behind`;
  return blocked(`${still}: ${records}`);
}

function blocked(text: string): Reason {
  return { state: "blocked", isReady: false, text };
}

function place(topic: string, partition: number): string {
  return `${topic}[${partition}]`;
}

function seconds(ms: number): number {
  return Math.round(ms / 1_000);
}
