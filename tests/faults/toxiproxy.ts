/**
 * Shopify's toxiproxy, driven by its HTTP API: bad networks that somebody else has made.
 *
 * @module
 */

import assert from "node:assert/strict";
import { spawnBoundToUs } from "../../lib/dev/child_process.ts";
import { freePort, LOOPBACK } from "../../lib/dev/local_port.ts";
import { hasCommand, until } from "../site.ts";
import { advertising, FaultBroker } from "./fault_site.ts";

const PROXY_NAME = "kafka";

/** What `ORDERFLOW_TOXIPROXY` names, or `toxiproxy-server` of the PATH; undefined where there is none. */
export async function findToxiproxy(): Promise<string | undefined> {
  const command = Deno.env.get("ORDERFLOW_TOXIPROXY") ?? "toxiproxy-server";
  return await hasCommand(command, "-version") ? command : undefined;
}

/** A kind of trouble, as toxiproxy names it and its settings. */
export interface Toxic {
  readonly type: "latency" | "bandwidth" | "slicer" | "timeout" | "reset_peer" | "limit_data";
  readonly attributes: Readonly<Record<string, number>>;
}

/** A broker that clients reach through a toxiproxy only. */
export class ToxicLine implements AsyncDisposable {
  /** Where the proxy is entered. */
  readonly address: string;
  readonly #api: string;
  readonly #ends: AsyncDisposableStack;

  private constructor({ address, api, ends }: {
    address: string;
    api: string;
    ends: AsyncDisposableStack;
  }) {
    this.address = address;
    this.#api = api;
    this.#ends = ends;
  }

  static async start(command: string): Promise<ToxicLine> {
    await using ends = new AsyncDisposableStack();
    const apiPort = freePort();
    const process = spawnBoundToUs(command, {
      args: ["-host", LOOPBACK, "-port", String(apiPort)],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    });
    ends.defer(async () => {
      process.kill("SIGKILL");
      await process.status;
    });
    const api = `http://${LOOPBACK}:${apiPort}`;
    await until("toxiproxy answers", () => call(`${api}/version`).then(() => true, () => false));
    const address = `${LOOPBACK}:${freePort()}`;
    const broker = ends.use(await FaultBroker.start(advertising(address)));
    const proxy = { name: PROXY_NAME, listen: address, upstream: broker.address, enabled: true };
    await call(`${api}/proxies`, proxy);
    return new ToxicLine({ address, api, ends: ends.move() });
  }

  /** For what goes to the broker and what comes from it, on all connections that there are and those to come. */
  async add({ type, attributes }: Toxic): Promise<void> {
    for (const stream of ["upstream", "downstream"]) {
      const toxic = { name: `${type} ${stream}`, type, stream, toxicity: 1, attributes };
      await call(`${this.#api}/proxies/${PROXY_NAME}/toxics`, toxic);
    }
  }

  /** Ends all connections and takes no new ones. */
  async disable(): Promise<void> {
    await call(`${this.#api}/proxies/${PROXY_NAME}`, { enabled: false });
  }

  /** No toxic is left, and the proxy is enabled. */
  async heal(): Promise<void> {
    await call(`${this.#api}/reset`, {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ends.disposeAsync();
  }
}

/** GET where there is no body, POST where there is one. */
async function call(url: string, body?: unknown): Promise<void> {
  const post = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const response = await fetch(url, post);
  const text = await response.text();
  assert.ok(response.ok, `toxiproxy answers ${response.status} to ${url}: ${text}`);
}
