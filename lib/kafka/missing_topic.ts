/**
 * Creates the error for a topic that does not exist. Readers never create a topic: a typo in its name would create an
 * empty topic, and the reader would report success.
 */

import { editDistance } from "../edit_distance.ts";
import { RefusedError } from "./errors.ts";

const NOT_FOUND = "does not exist: create it, or name another with --topic";

/**
 * Returns the error for a missing topic.
 *
 * @param existing the topics that this user may see, of which the most similar name is suggested.
 * @param advice the likely cause and what to do about it.
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

/** Returns the most similar existing name, or undefined if there is none. Ignores Kafka's internal topics. */
export function nearestTopic(topic: string, existing: readonly string[]): string | undefined {
  const distances = existing
    .filter((name) => !name.startsWith("__"))
    .map((name) => ({ name, distance: editDistance(topic.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1));
  return distances[0]?.name;
}
