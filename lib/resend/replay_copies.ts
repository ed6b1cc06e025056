/**
 * Copies that a replay has made itself. Where a tracker journals the topic that records are replayed to, the journal
 * holds each record again, at its new offset. The next run of the same replay must not send those.
 */

import { IntervalSet } from "../journal/intervals.ts";
import type { Progress } from "./replay_log.ts";
import { countOf, type Plan, type PlannedPartition } from "./replay_plan.ts";

/**
 * Returns the plan without the records that these replays have put on the target. Its pieces still span their lines.
 *
 * @param targetId the topic's id: a topic of that name that was deleted since has other records.
 */
export function withoutCopies(plan: Plan, targetId: string, replays: readonly Progress[]): Plan {
  const partitions = new Map<string, PlannedPartition>();
  let copyCount = 0;
  for (const [key, planned] of plan.partitions) {
    const { topicId, partition } = planned.source;
    const moves = topicId !== targetId
      ? []
      : replays.flatMap((replay) => [...replay]).filter(({ to }) => to === partition);
    if (moves.length === 0) {
      partitions.set(key, planned);
      continue;
    }
    const offsets = new IntervalSet();
    for (const interval of planned.offsets.intervals) offsets.add(interval);
    for (const { target, count } of moves) offsets.remove({ start: target, end: target + count });
    // Versions before this check sent copies. What was sent stays in the plan, or a run would not recognize its own.
    for (const replay of replays) {
      for (const interval of replay.offsets.get(key)?.intervals ?? []) {
        for (const sent of planned.offsets.within(interval)) offsets.add(sent);
      }
    }
    copyCount += countOf(planned.offsets.intervals) - countOf(offsets.intervals);
    if (offsets.end !== undefined) partitions.set(key, { ...planned, offsets });
  }
  return copyCount === 0 ? plan : {
    ...plan,
    partitions,
    count: plan.count - copyCount,
    repeated: plan.repeated + copyCount,
  };
}
