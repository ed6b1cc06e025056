/**
 * The producer's metrics as Prometheus scrapes them from `GET /metrics`; nothing of a record is in them.
 */

import type { ListenAddress } from "../cli/listen_address.ts";
import type { Logger } from "../log.ts";
import { type ProbeRequest, type ProbeResponse, ProbeServer } from "../probe_server.ts";
import {
  formatMetrics,
  type MetricFamily,
  PROMETHEUS_CONTENT_TYPE,
  single,
} from "../prometheus.ts";
import { messageOf } from "../system_error.ts";
import { BUILD_LABELS } from "../version.ts";
import type { Accounts } from "./accounts.ts";

export interface ProducerFigures {
  readonly topic: string;
  readonly accounts: Accounts;
  readonly throttledMs: number;
}

const PREFIX = "orderflow_producer";
const LOOPBACK = "127.0.0.1";

/** Returns the metrics of a run; of one that is still connecting, where there are no figures, the version alone. */
export function producerMetrics(figures: ProducerFigures | undefined): string {
  return formatMetrics([
    {
      name: `${PREFIX}_build_info`,
      type: "gauge",
      help: "The version that is running; always 1.",
      samples: [{ labels: BUILD_LABELS, value: 1 }],
    },
    ...(figures === undefined ? [] : runMetrics(figures)),
  ]);
}

function runMetrics({ topic, accounts, throttledMs }: ProducerFigures): readonly MetricFamily[] {
  const { acknowledged, failed, undelivered, unknown } = accounts.counts;
  const isPlanned = Number.isFinite(accounts.planned);
  const counter = (name: string, value: number | undefined, help: string) =>
    single("counter", `${PREFIX}_${name}_total`, { help, value });
  return [
    {
      name: `${PREFIX}_info`,
      type: "gauge",
      help: "The topic that records are sent to; always 1.",
      samples: [{ labels: { topic }, value: 1 }],
    },
    counter(
      "records_planned",
      isPlanned ? Math.floor(accounts.planned) : undefined,
      "Records that were due by now; absent at --rate max, where there is no plan.",
    ),
    counter("records_generated", accounts.generated, "Records generated."),
    counter("records_acknowledged", acknowledged, "Records that the brokers acknowledged."),
    counter("records_failed", failed, "Records that the brokers refused."),
    counter("records_undelivered", undelivered, "Records that were never sent."),
    counter("records_unknown", unknown, "Records that were sent and may be in the topic or not."),
    counter("acknowledged_bytes", accounts.acknowledgedBytes, "Bytes of acknowledged values."),
    counter("throttled_seconds", throttledMs / 1_000, "Time that brokers held back requests."),
    single("gauge", `${PREFIX}_in_flight_records`, {
      help: "Records that were generated and have no outcome yet.",
      value: accounts.generated - acknowledged - accounts.notAcknowledged,
    }),
    single("gauge", `${PREFIX}_behind_seconds`, {
      help: "How long the next record has been due; absent at --rate max.",
      value: isPlanned ? accounts.behindMs / 1_000 : undefined,
    }),
    accounts.latencyHistogram.family(
      `${PREFIX}_latency_seconds`,
      "From a record's planned time to its acknowledgement, the warm-up included.",
    ),
  ];
}

export interface MetricsEndpointOptions {
  /** On the loopback interface unless it names a host. */
  readonly address: ListenAddress;
  /** Asked at each `GET /metrics`. */
  readonly metrics: () => string;
  readonly log: Logger;
}

/** @throws {Error} where the address cannot be listened on. */
export function openMetricsEndpoint(
  { address, metrics, log }: MetricsEndpointOptions,
): AsyncDisposable & { readonly port: number } {
  const { hostname = LOOPBACK, port } = address;
  try {
    return new ProbeServer({
      listen: () => Deno.listen({ hostname, port }),
      answer: (request) => answer(request, metrics),
      onFailure: (error) =>
        log.warn("The metrics port accepts no connections; will retry", { hostname, port, error }),
      onRecovery: () => log.warn("The metrics port accepts connections again", { hostname, port }),
    });
  } catch (error) {
    throw new Error(
      `cannot serve metrics at ${hostname}:${port} (${
        messageOf(error)
      }): name another port with --metrics-port`,
      { cause: error },
    );
  }
}

function answer({ method, path }: ProbeRequest, metrics: () => string): ProbeResponse {
  if (path !== "/metrics") return { status: 404, body: { error: "only /metrics is here" } };
  if (method !== "GET" && method !== "HEAD") {
    const headers = { allow: "GET, HEAD" };
    return { status: 405, body: { error: "only GET is answered" }, headers };
  }
  return { status: 200, body: metrics(), headers: { "content-type": PROMETHEUS_CONTENT_TYPE } };
}
