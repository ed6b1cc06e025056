/**
 * The error for a topic that does not exist. Whoever only reads a topic never creates it: a slip in its name would
 * leave an empty topic on the cluster, and a program that reads nothing and says that all is well.
 *
 * @module
 */

import { editDistance } from "../edit_distance.ts";
import { RefusedError } from "./errors.ts";

const NOT_FOUND = "does not exist: create it, or name another with --topic";

/**
 * @param existing the names of the topics that this user may see.
 * @param advice what may be wrong, and what to do about it.
 */
export function missingTopic(
  topic: string,
  { existing = [], advice }: { readonly existing?: readonly string[]; readonly advice?: string } =
    {},
): RefusedError {
  const nearest = nearestTopic(topic, existing);
  const problem = advice === undefined ? NOT_FOUND : `does not exist: ${advice}`;
  const hint = nearest === undefined ? "" : `; the nearest existing name is "${nearest}"`;
  return new RefusedError(`topic "${topic}" ${problem}${hint}`, {
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
  });
}

/** Returns the existing name that differs least, or undefined where there is none. Kafka's own topics do not count. */
export function nearestTopic(topic: string, existing: readonly string[]): string | undefined {
  const distances = existing
    .filter((name) => !name.startsWith("__"))
    .map((name) => ({ name, distance: editDistance(topic.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1));
  return distances[0]?.name;
}
