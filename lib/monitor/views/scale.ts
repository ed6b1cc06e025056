/**
 * Axis scales with round numbers. Pure.
 *
 * @module
 */

export { niceMax } from "../../html/scale.ts";

const PERCENT_FLOORS = [90, 80, 50, 0];

/** Returns the start of a percentage axis: the highest round number below every value. */
export function percentFloor(values: readonly (number | undefined)[]): number {
  const least = Math.min(100, ...values.filter((value) => value !== undefined));
  return PERCENT_FLOORS.find((floor) => floor < least) ?? 0;
}
