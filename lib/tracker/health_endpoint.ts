/**
 * Liveness and readiness over HTTP, for an orchestrator's probes:
 *
 *     GET /live    200 while the process answers at all
 *     GET /ready   200 {"ready":true}, or 503 {"ready":false,"reason":"..."}
 *
 * @module
 */

import type { Logger } from "../log.ts";
import { type ProbeRequest, type ProbeResponse, ProbeServer } from "./probe_server.ts";

/** Why a tracker does no work at the moment; undefined where it does, or rightly waits for records. */
export type NotReadyReason = string | undefined;

export interface HealthEndpointOptions {
  readonly hostname: string;
  /** 0 for one that is free. */
  readonly port: number;
  /** Asked at each `GET /ready`. */
  readonly notReadyReason: () => NotReadyReason;
  readonly log: Logger;
}

export interface HealthEndpoint extends AsyncDisposable {
  readonly port: number;
}

/** @throws {HealthPortError} where the address cannot be listened on. */
export function openHealthEndpoint(
  { hostname, port, notReadyReason, log }: HealthEndpointOptions,
): HealthEndpoint {
  try {
    return new ProbeServer({
      listen: () => Deno.listen({ hostname, port }),
      answer: (request) => answer(request, notReadyReason),
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

/** The port of the health endpoint is taken, or may not be used. */
export class HealthPortError extends Error {
  override readonly name = "HealthPortError";
}

function answer(
  { method, path }: ProbeRequest,
  notReadyReason: () => NotReadyReason,
): ProbeResponse {
  if (path !== "/live" && path !== "/ready") {
    return { status: 404, body: { error: "only /live and /ready are here" } };
  }
  if (method !== "GET" && method !== "HEAD") {
    return {
      status: 405,
      body: { error: "only GET is answered" },
      headers: { allow: "GET, HEAD" },
    };
  }
  if (path === "/live") return { status: 200, body: { live: true } };
  const reason = notReadyReason();
  return reason === undefined
    ? { status: 200, body: { ready: true } }
    : { status: 503, body: { ready: false, reason } };
}
