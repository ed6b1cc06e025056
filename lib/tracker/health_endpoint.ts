/**
 * Liveness and readiness over HTTP for an orchestrator's probes, and metrics for Prometheus:
 *
 *     GET /live      200 while the process answers at all
 *     GET /ready     200 {"ready":true}, or 503 {"ready":false,"reason":"..."}
 *     GET /metrics   200 with the metrics as text
 */

import type { Logger } from "../log.ts";
import { type ProbeRequest, type ProbeResponse, ProbeServer } from "../probe_server.ts";
import { PROMETHEUS_CONTENT_TYPE } from "../prometheus.ts";

/** Why a tracker does no work now; undefined if it works, or waits for new records. */
export type NotReadyReason = string | undefined;

export interface HealthEndpointOptions {
  readonly hostname: string;
  /** 0 for one that is free. */
  readonly port: number;
  /** Asked at each `GET /ready`. */
  readonly notReadyReason: () => NotReadyReason;
  /** Asked at each `GET /metrics`; left out, there is no such path. */
  readonly metrics?: () => string | Promise<string>;
  readonly log: Logger;
}

export interface HealthEndpoint extends AsyncDisposable {
  readonly port: number;
}

/** @throws {HealthPortError} if it cannot listen on the address. */
export function openHealthEndpoint(
  { hostname, port, log, ...sources }: HealthEndpointOptions,
): HealthEndpoint {
  try {
    return new ProbeServer({
      listen: () => Deno.listen({ hostname, port }),
      answer: (request) => answer(request, sources),
      onFailure: (error) =>
        log.warn("The health port accepts no connections; it is opened again", {
          hostname,
          port,
          error,
        }),
      onRecovery: () => log.warn("The health port accepts connections again", { hostname, port }),
    });
  } catch (error) {
    throw new HealthPortError(
      `cannot answer health probes at ${hostname}:${port} (${
        error instanceof Error ? error.message : String(error)
      }): name another port with --health-port`,
      { cause: error },
    );
  }
}

/** Thrown if the port of the health endpoint is in use or not permitted. */
export class HealthPortError extends Error {
  override readonly name = "HealthPortError";
}

async function answer(
  { method, path }: ProbeRequest,
  { notReadyReason, metrics }: Pick<HealthEndpointOptions, "notReadyReason" | "metrics">,
): Promise<ProbeResponse> {
  const paths = ["/live", "/ready", ...(metrics === undefined ? [] : ["/metrics"])];
  if (!paths.includes(path)) {
    return { status: 404, body: { error: `only ${paths.join(", ")} are here` } };
  }
  if (method !== "GET" && method !== "HEAD") {
    return {
      status: 405,
      body: { error: "only GET is answered" },
      headers: { allow: "GET, HEAD" },
    };
  }
  if (path === "/live") return { status: 200, body: { live: true } };
  if (metrics !== undefined && path === "/metrics") {
    return {
      status: 200,
      body: await metrics(),
      headers: { "content-type": PROMETHEUS_CONTENT_TYPE },
    };
  }
  const reason = notReadyReason();
  return reason === undefined
    ? { status: 200, body: { ready: true } }
    : { status: 503, body: { ready: false, reason } };
}
