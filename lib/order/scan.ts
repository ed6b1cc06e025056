/**
 * Validates an order from its raw bytes, without parsing it.
 */

import { kernel } from "../kernel/kernel.ts";
import { compilePlan } from "../kernel/plan.ts";
import { AMOUNT_TOLERANCE } from "./money.ts";
import {
  EMAIL_PATTERN,
  NOT_BLANK_PATTERN,
  ORDER_SCHEMA,
  UUID_PATTERN,
  VERSION_PATTERN,
} from "./schema.ts";
import { SUM_RULES } from "./sums.ts";

/** The kernel's checks of an order: the schema and the sums. */
export const ORDER_PLAN: Uint8Array = compilePlan(ORDER_SCHEMA, {
  forms: new Map([
    [NOT_BLANK_PATTERN, "notBlank"],
    [UUID_PATTERN, "uuid"],
    [VERSION_PATTERN, "version"],
    [EMAIL_PATTERN, "email"],
  ]),
  sums: SUM_RULES,
  tolerance: AMOUNT_TOLERANCE,
});

/**
 * Returns whether a message is certainly a valid order; `judgeOrderText` then agrees. False says nothing: an order in a
 * rare notation has to be parsed. Never throws.
 */
export function isSurelyOrder(value: Uint8Array): boolean {
  return kernel().isSure(value, ORDER_PLAN);
}
