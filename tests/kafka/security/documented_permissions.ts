/** The permission tables of docs/clusters.md. */

import type { Site } from "../../site.ts";
import type { Permission } from "../secured_broker.ts";

export function producerPermissions({ topic }: Site): readonly Permission[] {
  return [["TOPIC", topic, "WRITE"], ["TOPIC", topic, "DESCRIBE"]];
}

export function trackerPermissions(
  { topic, group, deadLetterTopic }: Site,
): readonly Permission[] {
  return [
    ["TOPIC", topic, "READ"],
    ["TOPIC", topic, "DESCRIBE"],
    ["GROUP", group, "READ"],
    ["TOPIC", deadLetterTopic, "CREATE"],
    ["TOPIC", deadLetterTopic, "DESCRIBE"],
    ["TOPIC", deadLetterTopic, "WRITE"],
  ];
}

export function redrivePermissions(
  { topic, deadLetterTopic }: Site,
): readonly Permission[] {
  return [
    ["TOPIC", topic, "WRITE"],
    ["TOPIC", deadLetterTopic, "READ"],
    ["TOPIC", `${deadLetterTopic}-redriven`, "CREATE"],
    ["TOPIC", `${deadLetterTopic}-redriven`, "DESCRIBE_CONFIGS"],
    ["TOPIC", `${deadLetterTopic}-redriven`, "READ"],
    ["TOPIC", `${deadLetterTopic}-redriven`, "WRITE"],
    ["TRANSACTIONAL_ID", `orderflow.redrive.${deadLetterTopic}`, "WRITE"],
  ];
}
