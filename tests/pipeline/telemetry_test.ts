import assert from "node:assert/strict";
import { join } from "node:path";
import { startProgram } from "../../dev/programs.ts";
import { LOOPBACK } from "../../dev/local_port.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, type JournalLine, type Site } from "../site.ts";

await liveBroker();

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: string | number };
}
interface Point {
  readonly attributes: readonly Attribute[];
  readonly asInt?: string | number;
  readonly asDouble?: number;
  readonly count?: string | number;
}
interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly kind: "sum" | "gauge" | "histogram";
  readonly points: readonly Point[];
}
interface Span {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
}

interface LogRecord {
  readonly severityText: string;
  readonly body: { readonly stringValue: string };
  readonly traceId: string;
  readonly spanId: string;
}

/** An OTLP receiver that keeps everything; of each metric only the last export, because sums are cumulative. */
class Receiver implements AsyncDisposable {
  readonly metrics = new Map<string, Metric>();
  readonly spans: Span[] = [];
  readonly logs: LogRecord[] = [];
  requestCount = 0;
  readonly #server = Deno.serve(
    { hostname: LOOPBACK, port: 0, onListen: () => {} },
    (request) => this.#take(request),
  );

  get env(): Record<string, string> {
    return {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://${LOOPBACK}:${this.#server.addr.port}`,
    };
  }

  // deno-lint-ignore no-explicit-any -- JSON of a foreign format
  #keep(body: any): void {
    for (const { scopeMetrics } of body.resourceMetrics ?? []) {
      for (const metric of scopeMetrics.flatMap((scope: { metrics: unknown[] }) => scope.metrics)) {
        const { name, unit } = metric;
        const kind = (["sum", "gauge", "histogram"] as const).find((each) => each in metric);
        if (kind === undefined) throw new TypeError(`metric ${name} is of an unknown kind`);
        this.metrics.set(name, { name, unit, kind, points: metric[kind].dataPoints });
      }
    }
    for (const { scopeLogs } of body.resourceLogs ?? []) {
      this.logs.push(
        ...scopeLogs.flatMap((scope: { logRecords: LogRecord[] }) => scope.logRecords),
      );
    }
    for (const { scopeSpans } of body.resourceSpans ?? []) {
      this.spans.push(...scopeSpans.flatMap((scope: { spans: Span[] }) => scope.spans));
    }
  }

  async #take(request: Request): Promise<Response> {
    this.requestCount++;
    this.#keep(await request.json());
    return Response.json({});
  }

  /** Returns the sum of a metric's points that have the attributes (for a histogram, how often it was recorded). */
  sum(name: string, wanted: Readonly<Record<string, string>> = {}): number {
    const points = this.metrics.get(name)?.points ?? [];
    return points.filter(({ attributes }) =>
      Object.entries(wanted).every(([key, value]) =>
        attributes.some((each) => each.key === key && each.value.stringValue === value)
      )
    ).reduce((sum, { asInt, asDouble, count }) => sum + Number(asInt ?? asDouble ?? count), 0);
  }

  named(name: string): readonly Span[] {
    return this.spans.filter((span) => span.name === name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

const DASHBOARD = join(
  import.meta.dirname ?? ".",
  "..",
  "..",
  "deploy",
  "grafana",
  "orderflow-otel.json",
);

/**
 * Returns a metric's name in Prometheus, which the dashboard's queries use.
 * https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
 */
function prometheusName({ name, unit, kind }: Metric): string {
  const unitSuffix = unit === "s" ? "_seconds" : "";
  const kindSuffix = { sum: "_total", gauge: "", histogram: "_bucket" }[kind];
  return name.replaceAll(".", "_") + unitSuffix + kindSuffix;
}

const ORDER_COUNT = 40;
const BAD_PERCENT = 20;

async function runPipeline(site: Site, env: Readonly<Record<string, string>>) {
  const cluster = ["--broker", site.broker, "--topic", site.topic, "--json"];
  let stderr = "";
  const run = async (name: "producer" | "tracker", args: readonly string[]) => {
    const { exitCode, output } = await startProgram(name, [...cluster, ...args], {
      cwd: site.folder,
      env,
    });
    assert.equal(await exitCode, 0, output.stderr);
    stderr += output.stderr;
    return JSON.parse(output.stdout);
  };
  const produced = await run("producer", [
    ...["--rate", "100", "--count", String(ORDER_COUNT)],
    ...["--bad", String(BAD_PERCENT), "--bad-kinds", "malformed-json,bad-email"],
  ]);
  const tracked = await run("tracker", [
    ...["--group", site.group, "--logs", site.logs, "--exit-at-end"],
    ...["--dead-letters", site.deadLetterTopic],
  ]);
  return { produced, tracked, stderr };
}

/** Returns the traceparent headers in the journal, one for each record that has one. */
async function traceparents(site: Site): Promise<readonly string[]> {
  return (await site.journal()).flatMap((line) =>
    (line["kafka_headers"] as { key: string; value: string }[] | undefined ?? [])
      .filter(({ key }) => key === "traceparent").map(({ value }) => value)
  );
}

Deno.test("with OTEL_DENO, exported counts match the programs' totals, and each trace leads from send to process", async () => {
  await using receiver = new Receiver();
  await using site = await createSite();
  const { produced, tracked } = await runPipeline(site, receiver.env);
  assert.ok(tracked.failed > 0, "some are bad");

  const topic = { "messaging.system": "kafka", "messaging.destination.name": site.topic };
  const letters = { "messaging.destination.name": site.deadLetterTopic };
  assert.equal(receiver.sum("messaging.client.sent.messages", letters), tracked.dead_lettered);
  assert.equal(receiver.sum("messaging.client.consumed.messages", topic), tracked.received);
  assert.equal(receiver.sum("orderflow.records.failed", topic), tracked.failed);
  assert.equal(receiver.sum("orderflow.records.dead_lettered", topic), tracked.dead_lettered);
  assert.equal(receiver.sum("orderflow.consumer.lag", topic), 0);
  for (
    const [name, unit] of [
      ["messaging.client.operation.duration", "s"],
      ["messaging.process.duration", "s"],
      ["orderflow.journal.flush.duration", "s"],
      ["orderflow.end_to_end.latency", "s"],
      ["messaging.client.consumed.messages", "{message}"],
      ["orderflow.consumer.lag", "{record}"],
    ] as const
  ) {
    assert.equal(receiver.metrics.get(name)?.unit, unit, name);
    assert.ok((receiver.metrics.get(name)?.points.length ?? 0) > 0, name);
  }

  const names = new Set([...receiver.metrics.values()].map(prometheusName));
  const queries = [...Deno.readTextFileSync(DASHBOARD).matchAll(/"expr": "(.*)"/g)];
  assert.ok(queries.length > 5, "the dashboard asks for something");
  for (const [, query = ""] of queries) {
    const [asked = ""] = /(messaging|orderflow)_[a-z_]+(?=[[{)])/.exec(
      query.replace(/by \([^)]*\)/, ""),
    ) ?? [];
    assert.ok(
      names.has(asked),
      `the dashboard asks for ${asked || query}, which no program exports`,
    );
  }

  const headers = await traceparents(site);
  assert.equal(headers.length, produced.acknowledged, "every record has one");
  const sends = receiver.named(`send ${site.topic}`);
  const processes = receiver.named(`process ${site.topic}`);
  assert.ok(sends.length > 0 && processes.length > 0);
  for (const { kind } of sends) assert.equal(kind, 4, "PRODUCER");
  const sendIds = new Set(sends.map(({ traceId, spanId }) => `${traceId}/${spanId}`));
  for (const { kind, traceId, parentSpanId } of processes) {
    assert.equal(kind, 5, "CONSUMER");
    assert.ok(sendIds.has(`${traceId}/${parentSpanId}`), "its parent is a send");
  }
  for (const header of headers) {
    const [, traceId, spanId] = header.split("-");
    assert.ok(sendIds.has(`${traceId}/${spanId}`), header);
  }
});

/**
 * Asserts that the journal has the expected and received values, and that exported logs name only fields and rules.
 */
function assertNoValues(journal: readonly JournalLine[], logs: readonly string[]): void {
  const errors = journal.flatMap(({ error }) => typeof error === "string" ? [error] : []);
  assert.ok(
    errors.some((error) => /\(email\): expected .*, got "/.test(error)),
    "the journal keeps the values",
  );
  for (const log of logs) {
    for (const error of errors) assert.ok(!log.includes(error), error);
    assert.doesNotMatch(log, / got |in JSON|@/);
    assert.match(log, /customer_info\.email \(email\)|the value is not valid JSON/);
  }
}

Deno.test("with OTEL_DENO, each dead-letter warning is exported and logged in tracker.log with its span", async () => {
  await using receiver = new Receiver();
  await using site = await createSite();
  const { tracked, stderr } = await runPipeline(site, receiver.env);
  assert.ok(tracked.dead_lettered > 0, "some are bad");

  const processes = receiver.named(`process ${site.topic}`);
  const spanIds = new Set(processes.map(({ traceId, spanId }) => `${traceId}/${spanId}`));
  const exported = receiver.logs.filter(({ body }) => /dead-letter topic/.test(body.stringValue));
  assert.equal(exported.length, tracked.dead_lettered);
  for (const { severityText, traceId, spanId } of exported) {
    assert.match(severityText, /^WARN/);
    assert.ok(spanIds.has(`${traceId}/${spanId}`), "it came from a process span");
  }
  const kept = (await Deno.readTextFile(join(site.logs, "tracker.log"))).trimEnd().split("\n")
    .map((line) => JSON.parse(line)).filter(({ message }) => /dead-letter topic/.test(message));
  assert.equal(kept.length, tracked.dead_lettered);
  assertNoValues(await site.journal(), [stderr, JSON.stringify(kept), JSON.stringify(exported)]);
  for (const { metadata } of kept) {
    assert.ok(spanIds.has(`${metadata.trace_id}/${metadata.span_id}`));
  }
});

Deno.test("the producer's sent-messages metric counts its orders", async () => {
  await using receiver = new Receiver();
  await using site = await createSite();
  const { exitCode, output } = await startProgram("producer", [
    ...["--broker", site.broker, "--topic", site.topic, "--json"],
    ...["--rate", "max", "--count", String(ORDER_COUNT)],
  ], { cwd: site.folder, env: receiver.env });
  assert.equal(await exitCode, 0, output.stderr);
  const topic = { "messaging.destination.name": site.topic };
  assert.equal(receiver.sum("messaging.client.sent.messages", topic), ORDER_COUNT);
});

Deno.test("without OTEL_DENO nothing is exported, and no record has a traceparent", async () => {
  await using receiver = new Receiver();
  await using site = await createSite();
  const { OTEL_DENO: _, ...env } = receiver.env;
  const { tracked } = await runPipeline(site, env);
  assert.equal(tracked.received, ORDER_COUNT);
  assert.deepEqual(await traceparents(site), []);
  assert.equal(receiver.requestCount, 0);
});
