import { freePorts } from "../dev/broker_cluster.ts";
import { PortInUseError } from "../dev/broker_process.ts";

const ATTEMPTS_MAX = 5;

/**
 * Starts brokers on free ports. A broker takes seconds to listen, and tests run side by side, so another program may
 * take a port in the meantime; then other ports are tried.
 *
 * @throws the error of the last attempt.
 */
export async function onFreePorts<Started>(
  count: number,
  start: (ports: readonly number[]) => Promise<Started>,
): Promise<Started> {
  const tried: number[] = [];
  for (let attempt = 1;; attempt++) {
    const ports = freePorts(count, tried);
    tried.push(...ports);
    try {
      return await start(ports);
    } catch (error) {
      if (!(error instanceof PortInUseError) || attempt >= ATTEMPTS_MAX) throw error;
    }
  }
}
