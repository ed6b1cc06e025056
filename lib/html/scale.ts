/**
 * Scales of charts that people read easily. Pure.
 */

const NICE_FACTORS = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];

/** Returns the smallest round number that is at least the value. */
export function niceMax(value: number): number {
  if (!(value > 0)) return 1;
  const exponent = Math.floor(Math.log10(value));
  const nice = (factor: number) =>
    exponent < 0 ? factor / 10 ** -exponent : factor * 10 ** exponent;
  return nice(NICE_FACTORS.find((factor) => nice(factor) >= value * (1 - 1e-9)) ?? 10);
}
