/**
 * Parses the address that a program listens on.
 */

import { InvalidArgumentError } from "commander";

export interface ListenAddress {
  readonly hostname?: string;
  readonly port: number;
}

const PORT_MAX = 65_535;

/** Parses `8088`, `HOST:8088`, or `[ADDRESS]:8088`. */
export function parseListenAddress(text: string): ListenAddress {
  const [, bracketed, host, digits = ""] = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^\s:\[\]]+)):)?(\d{1,5})$/
    .exec(text) ?? [];
  const port = Number(digits);
  if (!(port >= 1 && port <= PORT_MAX)) {
    throw new InvalidArgumentError(
      `expected a port from 1 to ${PORT_MAX}, or HOST:PORT, such as 8088 or 0.0.0.0:8088`,
    );
  }
  const hostname = bracketed ?? host;
  return hostname === undefined ? { port } : { hostname, port };
}
