/**
 * Liveness and readiness over HTTP, for an orchestrator's probes:
 *
 *     GET /live    200 while the process answers at all
 *     GET /ready   200 {"ready":true}, or 503 {"ready":false,"reason":"..."}
 *
 * @module
 */

/** Why a tracker does no work at the moment; undefined where it does, or rightly waits for records. */
export type NotReadyReason = string | undefined;

export interface HealthEndpointOptions {
  readonly hostname: string;
  /** 0 for one that is free. */
  readonly port: number;
  /** Asked at each `GET /ready`. */
  readonly notReadyReason: () => NotReadyReason;
}

export interface HealthEndpoint extends AsyncDisposable {
  readonly port: number;
}

/** How long a client that is slow to ask may hold up the end. */
const CLOSE_TIMEOUT_MS = 1_000;

/** @throws {HealthPortError} where the address cannot be listened on. */
export function openHealthEndpoint(
  { hostname, port, notReadyReason }: HealthEndpointOptions,
): HealthEndpoint {
  const cut = new AbortController();
  const options = { hostname, port, signal: cut.signal, onListen: () => {} };
  const server = listening(options, (request) => answer(request, notReadyReason));
  return {
    port: server.addr.port,
    async [Symbol.asyncDispose]() {
      const timer = setTimeout(() => cut.abort(), CLOSE_TIMEOUT_MS);
      await Promise.race([server.shutdown(), server.finished]);
      clearTimeout(timer);
    },
  };
}

/** The port of the health endpoint is taken, or may not be used. */
export class HealthPortError extends Error {
  override readonly name = "HealthPortError";
}

function listening(
  options: Deno.ServeTcpOptions,
  handler: (request: Request) => Response,
): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve(options, handler);
  } catch (error) {
    const { hostname, port } = options;
    throw new HealthPortError(
      `cannot answer health probes at ${hostname}:${port} (${
        error instanceof Error ? error.message : String(error)
      }): name another port with --health-port`,
      { cause: error },
    );
  }
}

function answer(request: Request, notReadyReason: () => NotReadyReason): Response {
  const { pathname } = new URL(request.url);
  if (pathname !== "/live" && pathname !== "/ready") {
    return json(404, { error: "only /live and /ready are here" });
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    return json(405, { error: "only GET is answered" }, { allow: "GET, HEAD" });
  }
  if (pathname === "/live") return json(200, { live: true });
  const reason = notReadyReason();
  return reason === undefined ? json(200, { ready: true }) : json(503, { ready: false, reason });
}

function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return Response.json(body, { status, headers: { ...headers, "cache-control": "no-store" } });
}
