/**
 * Ports and addresses of this machine.
 */

/** The address that everything started here listens on; other machines cannot reach it. */
export const LOOPBACK = "127.0.0.1";

const LOCAL_HOSTNAMES: ReadonlySet<string> = new Set([LOOPBACK, "localhost"]);

export interface HostAndPort {
  readonly hostname: string;
  readonly port: number;
}

/**
 * Below the ports that systems use for outgoing connections (from 32,768 on Linux, from 49,152 elsewhere). A client
 * that keeps connecting to a server that is down could get the server's own port for its side. It would then connect
 * to itself, and the server would find its port in use.
 */
const PORT_MIN = 15_000;
const PORT_MAX = 32_767;
const ATTEMPTS_MAX = 100;

/** Returns a free port; another program may take it before the caller does. */
export function freePort(): number {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN + 1));
    if (isPortFree(port)) return port;
  }
  throw new Error(`none of ${ATTEMPTS_MAX} ports from ${PORT_MIN} to ${PORT_MAX} was free`);
}

/** Reports whether a program could listen on this port of the loopback address now. */
export function isPortFree(port: number): boolean {
  try {
    Deno.listen({ hostname: LOOPBACK, port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

/**
 * Splits `host:port`, also `[::1]:9092`.
 *
 * @throws {SyntaxError} if there is no port, or one outside 1 to 65535.
 */
export function parseAddress(address: string): HostAndPort {
  const [, hostname, digits] = /^(\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(address) ?? [];
  const port = Number(digits);
  if (hostname === undefined || !(port >= 1 && port <= 65535)) {
    throw new SyntaxError(
      `Cannot read the broker address "${address}": it must be host:port, such as localhost:9092`,
    );
  }
  return { hostname, port };
}

/** Reports whether this name refers to a broker listening on {@link LOOPBACK}. */
export function isLocal(hostname: string): boolean {
  return LOCAL_HOSTNAMES.has(hostname.toLowerCase());
}
