/**
 * Ports of this machine: which are free, which addresses mean this machine.
 *
 * @module
 */

/** The address that everything started here listens on: never reachable from another machine. */
export const LOOPBACK = "127.0.0.1";

const LOCAL_HOSTNAMES: ReadonlySet<string> = new Set([LOOPBACK, "localhost"]);

export interface HostAndPort {
  readonly hostname: string;
  readonly port: number;
}

/** A port that nothing listens on now; another program may take it before the caller does. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
  return listener.addr.port;
}

/** Whether a program could listen on this port of the loopback address now. */
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
 * @throws {SyntaxError} when there is no port, or one outside 1 to 65535.
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

/** Whether a broker that listens on {@link LOOPBACK} answers at this name. */
export function isLocal(hostname: string): boolean {
  return LOCAL_HOSTNAMES.has(hostname.toLowerCase());
}
