/**
 * A TCP proxy that does to connections what bad networks do: delays, swallows, slices, cuts and resets.
 *
 *     client <-> proxy (the broker advertises its address) <-> broker
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { delay } from "../lib/async.ts";
import { LOOPBACK } from "./local_port.ts";

export type ProxyMode =
  | { readonly kind: "pass" }
  /** Each piece of data waits this long before it goes on. */
  | { readonly kind: "delay"; readonly delayMs: number }
  /** Connections are taken, and nothing goes through, until the mode changes. */
  | { readonly kind: "black-hole" }
  /** Answers get lost: nothing that the broker sends goes through, until the mode changes. */
  | { readonly kind: "mute" }
  /** Data goes on in pieces of this size, each in a turn of its own. */
  | { readonly kind: "slice"; readonly sliceBytes: number }
  /** Each connection is reset once so many bytes have passed, in the middle of an answer. */
  | { readonly kind: "limit"; readonly bytesMax: number }
  /** Connections are reset as soon as they are made. */
  | { readonly kind: "refuse" };

interface Connection {
  readonly sockets: readonly [client: Socket, broker: Socket];
  passedBytes: number;
  isForgotten: boolean;
}

const TURN_MS = 1;
const POLL_MS = 20;

export class FaultyProxy implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #targetPort: () => number;
  #mode: ProxyMode = { kind: "pass" };
  #isClosed = false;

  private constructor(server: Server, { port, targetPort }: {
    port: number;
    targetPort: () => number;
  }) {
    this.port = port;
    this.#server = server;
    this.#targetPort = targetPort;
    server.on("connection", (client) => this.#onConnection(client));
  }

  /** @param targetPort asked at each connection: the broker is started after the proxy it advertises. */
  static async listen(targetPort: () => number): Promise<FaultyProxy> {
    const server = createServer();
    server.listen(0, LOOPBACK);
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new TypeError("expected a port");
    return new FaultyProxy(server, { port: address.port, targetPort });
  }

  get address(): string {
    return `${LOOPBACK}:${this.port}`;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** From now on, for connections that there are and those to come. */
  setMode(mode: ProxyMode): void {
    this.#mode = mode;
    for (const connection of this.#connections) connection.passedBytes = 0;
  }

  /** Ends all connections in order, between two pieces of data (FIN). */
  cutAll(): void {
    for (const { sockets } of this.#connections) for (const socket of sockets) socket.destroy();
  }

  /** Ends all connections as a crash or a firewall does (RST). */
  resetAll(): void {
    for (const connection of this.#connections) reset(connection);
  }

  /**
   * Nothing ever goes through the connections that there are, and nobody is told: as when a firewall between
   * has forgotten them. New ones are not concerned.
   */
  forgetAll(): void {
    for (const connection of this.#connections) connection.isForgotten = true;
  }

  #onConnection(client: Socket): void {
    client.on("error", ignore);
    if (this.#mode.kind === "refuse" || this.#isClosed) return void client.resetAndDestroy();
    const broker = connect(this.#targetPort(), LOOPBACK);
    broker.on("error", ignore);
    const connection: Connection = {
      sockets: [client, broker],
      passedBytes: 0,
      isForgotten: false,
    };
    this.#connections.add(connection);
    this.#pump(connection, { from: client, to: broker });
    this.#pump(connection, { from: broker, to: client });
  }

  #pump(connection: Connection, { from, to }: { from: Socket; to: Socket }): void {
    // One piece at a time, in order; the sender is held up meanwhile, as by a slow line.
    from.on("data", (piece) => {
      from.pause();
      const isAnswer = to === connection.sockets[0];
      this.#forward(connection, { to, isAnswer, piece: Buffer.from(piece) }).catch(ignore)
        .finally(() => from.resume());
    });
    from.on("close", () => {
      this.#connections.delete(connection);
      to.destroy();
    });
  }

  async #forward(connection: Connection, { to, isAnswer, piece }: {
    readonly to: Socket;
    readonly isAnswer: boolean;
    readonly piece: Buffer;
  }): Promise<void> {
    if (this.#mode.kind === "delay") await delay(this.#mode.delayMs);
    const isSwallowed = () =>
      this.#mode.kind === "black-hole" || (this.#mode.kind === "mute" && isAnswer) ||
      connection.isForgotten;
    while (isSwallowed() && !to.destroyed && !this.#isClosed) await delay(POLL_MS);
    const mode = this.#mode;
    if (mode.kind === "limit") {
      const room = mode.bytesMax - connection.passedBytes;
      connection.passedBytes += piece.length;
      if (piece.length <= room) return void to.write(piece);
      if (room > 0) to.write(piece.subarray(0, room), () => reset(connection));
      else reset(connection);
      return;
    }
    if (mode.kind !== "slice") return void to.write(piece);
    for (let start = 0; start < piece.length && !to.destroyed; start += mode.sliceBytes) {
      to.write(piece.subarray(start, start + mode.sliceBytes));
      await delay(TURN_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.setMode({ kind: "pass" });
    const closed = once(this.#server, "close");
    this.#server.close();
    this.cutAll();
    await closed;
  }
}

function reset({ sockets }: Connection): void {
  for (const socket of sockets) if (!socket.destroyed) socket.resetAndDestroy();
}

function ignore(): void {
  // The other end is told by the connection's own end.
}
