/**
 * Amounts of money: decimals on the wire, whole cents wherever something is computed.
 */

/** The largest amount that {@link toCents} takes. Above it a double no longer tells half a cent reliably. */
export const AMOUNT_MAX = 1e12;

// What binary floating point may add to a sum of decimals. Large enough for sums up to a billion,
// and far too small to let a second cent through.
const FLOATING_POINT_SLACK = 1e-6;
/** By how much an amount may differ from its sum: one cent. */
export const AMOUNT_TOLERANCE = 0.01 + FLOATING_POINT_SLACK;

/**
 * The amount in cents, rounded to the nearest one; a half is rounded away from zero, judged by the
 * decimal digits: 1.005 is 101 cents, though the double nearest to 1.005 lies below it.
 *
 * @throws {RangeError} where the amount is not finite or above {@link AMOUNT_MAX}.
 */
export function toCents(amount: number): number {
  const magnitude = Math.abs(amount);
  if (!(magnitude <= AMOUNT_MAX)) {
    throw new RangeError(
      `cannot convert the amount ${amount} to cents, expected a number within ±${AMOUNT_MAX}`,
    );
  }
  // The product may fall short of a half by its last bit; the factor puts that bit back.
  const cents = Math.round(magnitude * 100 * (1 + Number.EPSILON));
  return amount < 0 && cents > 0 ? -cents : cents;
}

/** The decimal for the wire: 1999 as 19.99. */
export function toDecimal(cents: number): number {
  return cents / 100;
}

/**
 * Whether two decimal amounts differ by at most one cent. A difference of exactly one cent passes, also
 * where floating point makes it 0.010000000000000009. Never true of Infinity or NaN.
 */
export function withinOneCent(left: number, right: number): boolean {
  return Math.abs(left - right) <= AMOUNT_TOLERANCE;
}
