/**
 * A TCP proxy that treats connections as bad networks do: delays, drops, slices, cuts, and resets.
 *
 *     client <-> proxy (the broker advertises its address) <-> broker
 */

import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { delay } from "../lib/async.ts";
import { LOOPBACK } from "./local_port.ts";

export type ProxyMode =
  | { readonly kind: "pass" }
  /** Delays each chunk of data. */
  | { readonly kind: "delay"; readonly delayMs: number }
  /** Accepts connections, but passes nothing until the mode changes. */
  | { readonly kind: "black-hole" }
  /** Loses answers: passes nothing that the broker sends, until the mode changes. */
  | { readonly kind: "mute" }
  /** Passes data in pieces of this size, each in its own event loop turn. */
  | { readonly kind: "slice"; readonly sliceBytes: number }
  /** Resets each connection after this many bytes, in the middle of an answer. */
  | { readonly kind: "limit"; readonly bytesMax: number }
  /** Resets connections as soon as they are made. */
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

  /** @param targetPort called for each connection, because the broker starts after the proxy that it advertises. */
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

  /** Sets the mode of existing and new connections. */
  setMode(mode: ProxyMode): void {
    this.#mode = mode;
    for (const connection of this.#connections) connection.passedBytes = 0;
  }

  /** Closes all connections cleanly, between two chunks of data (FIN). */
  cutAll(): void {
    for (const { sockets } of this.#connections) for (const socket of sockets) socket.destroy();
  }

  /** Resets all connections, like a crash or a firewall (RST). */
  resetAll(): void {
    for (const connection of this.#connections) reset(connection);
  }

  /**
   * Silently passes nothing more through existing connections, like a firewall that has forgotten them. New ones are
   * not affected.
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
    // One chunk at a time, in order. The sender is paused meanwhile, as on a slow connection.
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
  // The other end learns of it from its own connection.
}
