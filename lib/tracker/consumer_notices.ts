/**
 * Logs the notices of a consumer.
 */

import type { ConsumerNotice } from "../kafka/consumer/api.ts";
import type { Logger } from "../log.ts";
import { hindranceText } from "./standing.ts";

export function logConsumerNotice(
  notice: ConsumerNotice,
  { log, topic, groupId }: {
    readonly log: Logger;
    readonly topic: string;
    readonly groupId: string;
  },
): void {
  switch (notice.kind) {
    case "joined":
      return log.info("Joined the consumer group", {
        topic,
        groupId,
        partitions: notice.partitions,
      });
    case "unassigned":
      return log.warn(
        "Partitions of the topic are unassigned: no member of the group reads them",
        {
          topic,
          groupId,
          partitions: notice.partitions,
        },
      );
    case "all-assigned":
      return log.warn("All partitions of the topic are assigned again", { topic, groupId });
    case "unreadable-subscriptions":
      return log.warn(
        "Members of the group get no partitions: their subscription is unreadable",
        {
          groupId,
          memberIds: notice.memberIds,
        },
      );
    case "silent":
      return log.warn("No broker is responding; retrying", {
        seconds: seconds(notice.silentMs),
      });
    case "answers-again":
      return log.warn("The brokers answer again", { seconds: seconds(notice.silentMs) });
    case "hindered":
      return log.warn("The tracker is held up", {
        topic,
        why: hindranceText(notice.hindrance, topic),
      });
    case "unhindered":
      return log.warn("The tracker is no longer held up", { topic, was: notice.was });
    case "unreadable":
      return log.warn("A batch cannot be read; it is fetched again until it can be", {
        topic,
        partition: notice.partition,
        offset: notice.offset,
        error: notice.reason,
      });
    case "rebuilding":
      return log.warn("The consumer failed; it is rebuilt", {
        error: notice.reason,
        inMs: notice.inMs,
      });
    case "topic-changed":
      return log.warn("The topic was deleted or recreated", {
        topic,
        from: notice.from,
        to: notice.to,
      });
    case "left-uncommitted":
      return log.warn("The tracker stopped before it committed everything that it journaled", {
        topic,
        meaning: "the next tracker reads these records again and finds them in the journal",
      });
    case "commit-failed":
      return log.warn("A commit failed; the journal has its records, and the commit is retried", {
        topic,
        offsets: Object.fromEntries(notice.offsets),
        error: notice.reason,
      });
  }
}

function seconds(ms: number): number {
  return Math.round(ms / 1_000);
}
