/**
 * The nodes of a scripted cluster: sockets that split requests into frames and answer them in order on each
 * connection, as Kafka does. The owning cluster determines the answers.
 */

import { Buffer } from "node:buffer";
import { LOOPBACK } from "../../../dev/local_port.ts";
import { array, int16, int32, WireReader } from "./wire.ts";

export interface NodeRequest {
  /** The node that was asked, starting at 1. */
  readonly nodeId: number;
  readonly apiKey: number;
  readonly version: number;
  /** The request after the header's client id. */
  readonly body: WireReader;
}

/** The response after the correlation id, no response at all, or a connection that is closed instead. */
export type NodeAnswer = readonly Buffer[] | "silence" | "hang up";

export interface ScriptedNodesOptions {
  readonly nodeCount: number;
  /** The API keys that the nodes advertise, each with its lowest and highest version. */
  readonly versions: readonly (readonly [apiKey: number, min: number, max: number])[];
  readonly answer: (request: NodeRequest) => Promise<NodeAnswer> | NodeAnswer;
}

const API_VERSIONS_KEY = 18;
const LENGTH_BYTES = 4;

export class ScriptedNodes implements AsyncDisposable {
  readonly #options: ScriptedNodesOptions;
  readonly #listeners: readonly Deno.TcpListener[];
  readonly #connections = new Set<Deno.TcpConn>();
  connectionCount = 0;
  readonly #serving: Promise<void>[];
  readonly #failures: unknown[] = [];

  constructor(options: ScriptedNodesOptions) {
    this.#options = options;
    this.#listeners = Array.from(
      { length: options.nodeCount },
      () => Deno.listen({ hostname: LOOPBACK, port: 0 }),
    );
    this.#serving = this.#listeners.map((listener, index) => this.#serve(listener, index + 1));
  }

  /** The address of each node; the first one's id is 1. */
  get addresses(): readonly { readonly host: string; readonly port: number }[] {
    return this.#listeners.map(({ addr: { port } }) => ({ host: LOOPBACK, port }));
  }

  get brokers(): string[] {
    return this.addresses.map(({ host, port }) => `${host}:${port}`);
  }

  hangUp(): void {
    for (const connection of this.#connections) close(connection);
  }

  /** @throws {AggregateError} if a request could not be answered. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    this.hangUp();
    await Promise.all(this.#serving);
    if (this.#failures.length > 0) {
      throw new AggregateError(this.#failures, `unanswered requests: ${this.#failures.join("; ")}`);
    }
  }

  async #serve(listener: Deno.TcpListener, nodeId: number): Promise<void> {
    for await (const connection of listener) {
      this.connectionCount++;
      this.#connections.add(connection);
      this.#serving.push(
        this.#talk(connection, nodeId).finally(() => {
          this.#connections.delete(connection);
          close(connection);
        }),
      );
    }
  }

  async #talk(connection: Deno.TcpConn, nodeId: number): Promise<void> {
    let waiting = Buffer.alloc(0);
    const chunk = new Uint8Array(64 * 1024);
    for (;;) {
      const count = await connection.read(chunk).catch(() => null); // closed by either side
      if (count === null) return;
      waiting = Buffer.concat([waiting, chunk.subarray(0, count)]);
      while (waiting.length >= LENGTH_BYTES && waiting.length >= frameEnd(waiting)) {
        const end = frameEnd(waiting);
        const answer = await this.#answer(waiting.subarray(LENGTH_BYTES, end), nodeId);
        waiting = waiting.subarray(end);
        if (answer === "hang up") return;
        if (answer !== "silence" && !await write(connection, answer)) return;
      }
    }
  }

  async #answer(frame: Buffer, nodeId: number): Promise<Buffer | "silence" | "hang up"> {
    const body = new WireReader(frame);
    const [apiKey, version, correlationId] = [body.int16(), body.int16(), body.int32()];
    body.text(); // client id
    try {
      const answer = apiKey === API_VERSIONS_KEY
        ? this.#apiVersions(version)
        : await this.#options.answer({ nodeId, apiKey, version, body });
      if (typeof answer === "string") return answer;
      const payload = Buffer.concat([int32(correlationId), ...answer]);
      return Buffer.concat([int32(payload.length), payload]);
    } catch (error) {
      this.#failures.push(error);
      return "hang up";
    }
  }

  #apiVersions(version: number): readonly Buffer[] {
    const noError = int16(0);
    const list = array(this.#options.versions, (each) => each.map(int16));
    return [noError, list, ...(version > 0 ? [int32(0)] : [])];
  }
}

function frameEnd(bytes: Buffer): number {
  return LENGTH_BYTES + bytes.readInt32BE();
}

/** @returns false if the connection was closed meanwhile. */
async function write(connection: Deno.TcpConn, bytes: Uint8Array): Promise<boolean> {
  try {
    for (let written = 0; written < bytes.length;) {
      written += await connection.write(bytes.subarray(written));
    }
    return true;
  } catch {
    return false;
  }
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // It is already closed.
  }
}
