/**
 * orderflow as a library: the order contract, a simulated shop, a reliable producer, a tracker with your own order
 * handler, a journal reader, the monitor's figures, and a verification that no record was lost.
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

export { describeFailures, type OrderFailure, type OrderRule } from "./lib/order/failure.ts";
export {
  type CustomerInfo,
  type Immutable,
  type InventoryStatus,
  type Order,
  ORDER_VERSION,
  type OrderItem,
  type OrderMetadata,
  OrderSchema,
} from "./lib/order/schema.ts";
export { judgeOrderText, type OrderJudgement, validateOrder } from "./lib/order/validate.ts";
export {
  COUNTRY_CODES,
  type CountryCode,
  createShop,
  type Shop,
  type ShopOptions,
  type ShopOrder,
} from "./lib/shop/shop.ts";
export {
  type OpenedTracker,
  openTracker,
  type OpenTrackerOptions,
  type RunEnd,
} from "./lib/tracker/open.ts";
export type { UndecidedRecords } from "./lib/tracker/end_of_topic.ts";
export type { OpenTransactionStatus } from "./lib/tracker_status.ts";
export {
  DEFAULT_RETRY_POLICY,
  type OrderContext,
  type OrderHandler,
  PermanentError,
  type RetryPolicy,
} from "./lib/tracker/handler.ts";
export type { LatencySummary } from "./lib/latency.ts";
export { decodeEvent, type JournaledRecord } from "./lib/journal/line.ts";
export { readJournal, type ReadJournalOptions } from "./lib/journal/reader.ts";
export { FolderMonitor, type MonitorFigures } from "./lib/monitor/figures.ts";
export type { TrackerCounts, TrackerMetrics, TrackerTotals } from "./lib/tracker/metrics.ts";
export {
  type VerifyProgress,
  type VerifyScope,
  verifyTopic,
  type VerifyTopicOptions,
} from "./lib/verify/verify.ts";
export type { SegmentCheck } from "./lib/journal/manifest_check.ts";
export {
  EXAMPLE_KINDS,
  type ExampleKind,
  type Examples,
  type PartitionVerification,
  type SegmentVerification,
  type UnreadableLine,
  type Verification,
  type VerificationCounts,
} from "./lib/verify/verification.ts";
export { type Acknowledgement, ReliableProducer, type SendRequest } from "./lib/kafka/producer.ts";
export type { Compression } from "./lib/kafka/protocol/compress.ts";
export { DeliveryError, type Fate } from "./lib/kafka/errors.ts";
export type { LogLevelName } from "./lib/log.ts";
export { keyPartitioner } from "./lib/kafka/partitioner.ts";
export type { KafkaConnection } from "./lib/kafka/client.ts";
export type { Sasl, Security, Tls } from "./lib/kafka/security.ts";
export type { KafkaRecord, OmittedBytes, OutgoingRecord, RecordHeader } from "./lib/record.ts";
