/**
 * OpenTelemetry, by the semantic conventions for messaging: metrics a batch, spans a batch, the trace
 * context in the records' headers, and a span's ids for log lines. What collects and exports is the runtime's (`OTEL_DENO=true`), or
 * whatever an embedding program registered; without one nothing here does more than look at a constant.
 *
 * A span a record was measured and left out: it takes over a microsecond, and at full rate the runtime's
 * exporter drops most of them. The callbacks of observable instruments are not called when a program
 * ends, so none is used.
 */

import {
  type Attributes,
  type Context,
  context,
  createNoopMeter,
  metrics,
  propagation,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import { DURATION_BOUNDARIES } from "./prometheus.ts";
import type { KafkaRecord, OutgoingRecord, RecordHeader } from "./record.ts";

const SCOPE = "orderflow";
/** Traces that go on from one consumed batch; records of further ones are counted, and have no span. */
const PROCESS_SPANS_MAX = 16;
const TRACEPARENT = "traceparent";
/** `00-` and 52 more in version 00; room for later ones. */
const TRACEPARENT_BYTES_MAX = 256;

const isMetering = metrics.getMeter(SCOPE) !== createNoopMeter();
const isTracing = hasTracer();

/** True if telemetry is collected. Decided once, before the program's own modules run. */
export const isTelemetryOn: boolean = isMetering || isTracing;

function hasTracer(): boolean {
  const provider = trace.getTracerProvider();
  return !(provider instanceof ProxyTracerProvider) ||
    provider.getDelegateTracer(SCOPE) !== undefined;
}

const meter = metrics.getMeter(SCOPE);
const tracer = trace.getTracer(SCOPE);
const duration = (name: string, description: string) =>
  meter.createHistogram(name, {
    description,
    unit: "s",
    advice: { explicitBucketBoundaries: [...DURATION_BOUNDARIES] },
  });
const count = (name: string, description: string, unit: string) =>
  meter.createCounter(name, { description, unit });

const sentMessages = count(
  "messaging.client.sent.messages",
  "Records that were sent; with error.type, those that were not acknowledged",
  "{message}",
);
const consumedMessages = count(
  "messaging.client.consumed.messages",
  "Records that were journaled",
  "{message}",
);
const operationDuration = duration(
  "messaging.client.operation.duration",
  "From a batch's send to the brokers' answer",
);
const processDuration = duration(
  "messaging.process.duration",
  "From a fetched batch to its being safe: journaled, handled, dead-lettered",
);
const failedRecords = count(
  "orderflow.records.failed",
  "Records that could not be processed",
  "{record}",
);
const deadLetteredRecords = count(
  "orderflow.records.dead_lettered",
  "Records that the dead-letter topic took",
  "{record}",
);
const repeatedRecords = count(
  "orderflow.records.already_journaled",
  "Records read again that the journal held",
  "{record}",
);
const lagGauge = meter.createGauge("orderflow.consumer.lag", {
  description: "Records of a partition that are in the topic and not yet safe",
  unit: "{record}",
});
const flushDuration = duration(
  "orderflow.journal.flush.duration",
  "From a batch's append to its being on the disk",
);
const endToEndLatency = duration(
  "orderflow.end_to_end.latency",
  "From the timestamp of a batch's oldest record to its being on the disk",
);

function attributesOf(
  { operation, type, topic, partition }: {
    readonly operation: string;
    readonly type: "send" | "receive" | "process";
    readonly topic: string;
    readonly partition: number;
  },
): Attributes {
  return {
    "messaging.system": "kafka",
    "messaging.operation.name": operation,
    "messaging.operation.type": type,
    "messaging.destination.name": topic,
    "messaging.destination.partition.id": String(partition),
  };
}

export interface TracedSend<Result> {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly OutgoingRecord[];
  /** True if the records get the span's context; false if their headers must stay, as a dead letter's. */
  readonly isPropagated: boolean;
  readonly send: (records: readonly OutgoingRecord[]) => Promise<Result>;
  /** The name of why a send was rejected: few of them, for it becomes an attribute. */
  readonly reasonOf: (error: unknown) => string;
}

/** Sends a batch, and tells of it: how many records, how long, and a span whose context goes with them. */
export async function tracedSend<Result>(request: TracedSend<Result>): Promise<Result> {
  const { topic, partition, records, isPropagated, send, reasonOf } = request;
  if (!isTelemetryOn) return await send(records);
  const attributes = attributesOf({ operation: "send", type: "send", topic, partition });
  const span = tracer.startSpan(`send ${topic}`, {
    kind: SpanKind.PRODUCER,
    attributes: { ...attributes, "messaging.batch.message_count": records.length },
  });
  const active = trace.setSpan(context.active(), span);
  const startedAtMs = performance.now();
  let error: Attributes = {};
  try {
    return await context.with(
      active,
      send,
      undefined,
      isPropagated ? withContext(records, active) : records,
    );
  } catch (cause) {
    error = { "error.type": reasonOf(cause) };
    span.setStatus({ code: SpanStatusCode.ERROR }).setAttributes(error);
    throw cause;
  } finally {
    sentMessages.add(records.length, { ...attributes, ...error });
    operationDuration.record(secondsSince(startedAtMs), { ...attributes, ...error });
    span.end();
  }
}

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

function withContext(
  records: readonly OutgoingRecord[],
  active: Context,
): readonly OutgoingRecord[] {
  const carrier: Record<string, string> = {};
  propagation.inject(active, carrier);
  const added = Object.entries(carrier)
    .map(([key, value]): RecordHeader => ({ key, value: ENCODER.encode(value) }));
  return added.length === 0
    ? records
    : records.map((record) => ({ ...record, headers: [...record.headers, ...added] }));
}

/** A batch that is being processed. */
export interface ProcessedBatch {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly KafkaRecord[];
}

/**
 * Processes a batch in a span for each trace that its records go on with, so that an order's trace leads
 * from the producer to here. A batch without any begins one.
 *
 * @param process resolves with false where the batch was abandoned.
 */
export async function tracedProcess(
  batch: ProcessedBatch,
  process: () => Promise<boolean>,
): Promise<boolean> {
  if (!isTelemetryOn) return await process();
  const { topic, partition } = batch;
  const attributes = attributesOf({ operation: "process", type: "process", topic, partition });
  const spans = isTracing ? startProcessSpans(batch, attributes) : [];
  const active = spans[0] ? trace.setSpan(context.active(), spans[0]) : context.active();
  const startedAtMs = performance.now();
  let error: Attributes = {};
  try {
    const isSafe = await context.with(active, process);
    if (!isSafe) error = { "error.type": "abandoned" };
    return isSafe;
  } catch (cause) {
    error = { "error.type": cause instanceof Error ? cause.name : "_OTHER" };
    throw cause;
  } finally {
    processDuration.record(secondsSince(startedAtMs), { ...attributes, ...error });
    for (const span of spans) {
      if ("error.type" in error) {
        span.setStatus({ code: SpanStatusCode.ERROR }).setAttributes(error);
      }
      span.end();
    }
  }
}

function startProcessSpans(
  { topic, records }: ProcessedBatch,
  attributes: Attributes,
): readonly Span[] {
  const counts = new Map<string, number>();
  for (const record of records) {
    const parent = traceparentOf(record);
    if (counts.size < PROCESS_SPANS_MAX || counts.has(parent)) {
      counts.set(parent, (counts.get(parent) ?? 0) + 1);
    }
  }
  return [...counts].map(([traceparent, recordCount]) =>
    tracer.startSpan(`process ${topic}`, {
      kind: SpanKind.CONSUMER,
      attributes: { ...attributes, "messaging.batch.message_count": recordCount },
    }, propagation.extract(ROOT_CONTEXT, { [TRACEPARENT]: traceparent }))
  );
}

/** Empty where the record has none that could be one. */
function traceparentOf({ headers }: KafkaRecord): string {
  const value = headers.find(({ key }) => key === TRACEPARENT)?.value;
  return value && value.length <= TRACEPARENT_BYTES_MAX ? DECODER.decode(value) : "";
}

/** Where records come from, for the tracker's figures. */
export interface Source {
  readonly topic: string;
  readonly partition: number;
}

function sourceAttributes({ topic, partition }: Source): Attributes {
  return attributesOf({ operation: "receive", type: "receive", topic, partition });
}

/** A batch is on the disk. */
export function noteJournaled(
  source: Source,
  { timestampsMs, flushMs }: { readonly timestampsMs: Float64Array; readonly flushMs: number },
): void {
  if (!isMetering || timestampsMs.length === 0) return;
  const attributes = sourceAttributes(source);
  const oldestMs = timestampsMs.reduce((least, each) => Math.min(least, each), Infinity);
  consumedMessages.add(timestampsMs.length, attributes);
  flushDuration.record(flushMs / 1_000);
  endToEndLatency.record(Math.max(0, Date.now() - oldestMs) / 1_000, attributes);
}

const OUTCOMES = {
  failed: failedRecords,
  deadLettered: deadLetteredRecords,
  alreadyJournaled: repeatedRecords,
} as const;

/** Counts records that are more than consumed. */
export function noteRecords(
  outcome: keyof typeof OUTCOMES,
  source: Source,
  recordCount: number,
): void {
  if (!isMetering || recordCount === 0) return;
  OUTCOMES[outcome].add(recordCount, sourceAttributes(source));
}

export function noteLag(source: Source, lag: number): void {
  if (isMetering) lagGauge.record(lag, sourceAttributes(source));
}

/** The span that is active, by the names that log lines have for it; nothing where there is none. */
export function activeSpanIds(): { readonly trace_id?: string; readonly span_id?: string } {
  const span = isTracing ? trace.getActiveSpan()?.spanContext() : undefined;
  return span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId };
}

function secondsSince(startedAtMs: number): number {
  return (performance.now() - startedAtMs) / 1_000;
}
