/**
 * orderflow as a library: the order contract, the simulated shop, a tracker with a function of your own
 * behind it, and the journal's line.
 *
 * ```ts
 * import { createShop, validateOrder } from "./mod.ts";
 *
 * const shop = createShop({ seed: 1 });
 * const order = shop.nextOrder(Date.UTC(2026, 0, 1));
 * console.log(order.total, validateOrder(order).length);
 * ```
 *
 * @module
 */

export {
  describeFailures,
  judgeOrderText,
  type Order,
  ORDER_VERSION,
  type OrderFailure,
  type OrderJudgement,
  type OrderRule,
  OrderSchema,
  validateOrder,
} from "./lib/order.ts";
export {
  COUNTRY_CODES,
  type CountryCode,
  createShop,
  type Shop,
  type ShopOptions,
  type ShopOrder,
} from "./lib/shop.ts";
export { type OpenedTracker, openTracker, type OpenTrackerOptions } from "./lib/tracker/open.ts";
export {
  DEFAULT_RETRY_POLICY,
  type OrderContext,
  type OrderHandler,
  PermanentError,
  type RetryPolicy,
} from "./lib/tracker/handler.ts";
export { decodeEvent, type JournaledRecord } from "./lib/tracker/event.ts";
export type { KafkaConnection } from "./lib/kafka/client.ts";
export type { Sasl, Security, Tls } from "./lib/kafka/security.ts";
export type { KafkaRecord, RecordHeader } from "./lib/kafka/record.ts";
