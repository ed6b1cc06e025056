/**
 * The three sums of an order, each within one cent.
 */

import { isJsonObject, type JsonObject } from "../json.ts";
import type { SumRule } from "../kernel/plan.ts";
import { failure, isNumber, type OrderFailure, type OrderRule } from "./failure.ts";
import { withinOneCent } from "./money.ts";
import type { Order, OrderItem } from "./schema.ts";

/** The sums, for the kernel; {@link sumsAgree} checks the same. */
export const SUM_RULES: readonly SumRule[] = [
  {
    amount: "items.total_price",
    operation: "product",
    terms: ["items.quantity", "items.unit_price"],
  },
  { amount: "sub_total", operation: "sum", terms: ["items.total_price"] },
  { amount: "total", operation: "sum", terms: ["sub_total", "tax", "shipping_fee"] },
];

/** The amounts in the sums. */
export type OrderAmounts = Pick<Order, "sub_total" | "tax" | "shipping_fee" | "total"> & {
  readonly items: readonly Pick<OrderItem, "quantity" | "unit_price" | "total_price">[];
};

/** Reports whether the sums are right in a value with valid types. {@link sumFailures} takes any value. */
export function sumsAgree(order: OrderAmounts): boolean {
  let subTotal = 0;
  for (const item of order.items) {
    if (!withinOneCent(item.total_price, item.quantity * item.unit_price)) return false;
    subTotal += item.total_price;
  }
  return withinOneCent(order.sub_total, subTotal) &&
    withinOneCent(order.total, order.sub_total + (order.tax ?? 0) + (order.shipping_fee ?? 0));
}

/** Returns what is wrong with the sums: at most about `countMax` items, and the two totals. */
export function sumFailures(order: unknown, countMax: number): OrderFailure[] {
  if (!isJsonObject(order)) return [];
  const failures: OrderFailure[] = [];
  const expectSum = (path: string, rule: OrderRule, amount: number, sum: number, of: string) => {
    if (withinOneCent(amount, sum)) return;
    failures.push(failure(path, rule, `${of} = ${formatAmount(sum)} within 0.01`, amount));
  };

  const items: readonly unknown[] = Array.isArray(order["items"]) ? order["items"] : [];
  let subTotal: number | undefined = 0;
  for (const [index, item] of items.entries()) {
    const { quantity, unit_price: unitPrice, total_price: totalPrice }: JsonObject =
      isJsonObject(item) ? item : {};
    if (!isNumber(totalPrice)) {
      subTotal = undefined;
      continue;
    }
    if (subTotal !== undefined) subTotal += totalPrice;
    if (isNumber(quantity) && isNumber(unitPrice) && failures.length < countMax) {
      const path = `items[${index}].total_price`;
      const product = quantity * unitPrice;
      expectSum(path, "item-total", totalPrice, product, `${quantity} x ${unitPrice}`);
    }
  }

  const { sub_total: amount, tax = 0, shipping_fee: shippingFee = 0, total } = order;
  if (!isNumber(amount)) return failures;
  if (items.length > 0 && subTotal !== undefined) {
    expectSum("sub_total", "sub-total", amount, subTotal, "the sum of the items");
  }
  if (isNumber(total) && isNumber(tax) && isNumber(shippingFee)) {
    const of = `${amount} + ${tax} + ${shippingFee}`;
    expectSum("total", "total", total, amount + tax + shippingFee, of);
  }
  return failures;
}

function formatAmount(amount: number): string {
  return String(Number(amount.toPrecision(12)));
}
