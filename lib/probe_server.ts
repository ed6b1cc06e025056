/**
 * A small HTTP/1.1 server for probes and scrapes: one request per connection, no body, each with a time limit, and a bound on the
 * connections. `Deno.serve` has neither limit: clients that never finish a request use up the process's descriptors.
 */

const CONNECTIONS_MAX = 64;
const REQUEST_TIMEOUT_MS = 5_000;
/** A client's request line and headers are no longer than this. */
const HEAD_BYTES_MAX = 8 * 1024;
/** Maximum bytes read after a client's headers, so that closing does not discard the answer. */
const DRAINED_BYTES_MAX = 64 * 1024;
const REOPEN_DELAY_MS = 500;
const DECODER = new TextDecoder();
const ENCODER = new TextEncoder();

export interface ProbeRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
}

export interface ProbeResponse {
  readonly status: number;
  /** Sent as JSON, unless the headers have a `content-type`: then it is a text, sent as it is. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ProbeServerOptions {
  readonly listen: () => Deno.TcpListener;
  readonly answer: (request: ProbeRequest) => ProbeResponse | Promise<ProbeResponse>;
  /** Called when no connections can be accepted; the server opens its port again until that succeeds. */
  readonly onFailure: (error: unknown) => void;
  readonly onRecovery: () => void;
  /** Default: 5 s. */
  readonly requestTimeoutMs?: number;
}

export class ProbeServer implements AsyncDisposable {
  readonly #options: ProbeServerOptions;
  /** In the order in which they were accepted. */
  readonly #connections = new Set<Deno.Conn>();
  readonly #accepting: Promise<void>;
  readonly #port: number;
  #listener: Deno.TcpListener;
  #isClosed = false;
  #endPause = () => {};

  /** @throws the error of `listen`. */
  constructor(options: ProbeServerOptions) {
    this.#options = options;
    this.#listener = options.listen();
    this.#port = this.#listener.addr.port;
    this.#accepting = this.#accept();
  }

  get port(): number {
    return this.#port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#endPause();
    close(this.#listener);
    for (const connection of this.#connections) close(connection);
    await this.#accepting;
  }

  async #accept(): Promise<void> {
    let hasFailed = false;
    while (!this.#isClosed) {
      try {
        const connection = await this.#listener.accept();
        if (hasFailed) this.#options.onRecovery();
        hasFailed = false;
        this.#admit(connection);
      } catch (error) {
        if (this.#isClosed) return;
        if (!hasFailed) this.#options.onFailure(error);
        hasFailed = true;
        await this.#reopen();
      }
    }
  }

  async #reopen(): Promise<void> {
    close(this.#listener);
    while (!this.#isClosed) {
      await this.#pause();
      if (this.#isClosed) return;
      try {
        this.#listener = this.#options.listen();
        return;
      } catch {
        // The first failure was reported; the port may be free again later.
      }
    }
  }

  async #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, REOPEN_DELAY_MS);
    this.#endPause = resolve;
    await promise;
    clearTimeout(timer);
  }

  /** The client that has waited longest makes room: a probe sends its request at once. */
  #admit(connection: Deno.Conn): void {
    const [oldest] = this.#connections;
    if (this.#connections.size >= CONNECTIONS_MAX && oldest !== undefined) {
      this.#connections.delete(oldest);
      close(oldest);
    }
    this.#connections.add(connection);
    const timer = setTimeout(
      () => close(connection),
      this.#options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    );
    // A client that leaves early is no error of ours.
    this.#serve(connection).catch(() => {}).finally(() => {
      clearTimeout(timer);
      this.#connections.delete(connection);
      close(connection);
    });
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    const head = await readHead(connection);
    if (head === undefined) return;
    const request = parseHead(head);
    const response = request === undefined
      ? { status: 400, body: { error: "expected an HTTP/1.1 request without a body" } }
      : await this.#options.answer(request);
    await writeAll(connection, encode(response, request?.method === "HEAD"));
    await connection.closeWrite();
    await drain(connection);
  }
}

/** Returns the text up to the empty line, or up to the bound; undefined if the client leaves before. */
async function readHead(connection: Deno.Conn): Promise<string | undefined> {
  const buffer = new Uint8Array(HEAD_BYTES_MAX);
  let filled = 0;
  while (filled < buffer.length) {
    const count = await connection.read(buffer.subarray(filled));
    if (count === null) return undefined;
    filled += count;
    const text = DECODER.decode(buffer.subarray(0, filled));
    if (/\r?\n\r?\n/.test(text)) return text;
  }
  return "";
}

function parseHead(head: string): ProbeRequest | undefined {
  const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.[01]\r?\n/.exec(head) ?? [];
  if (method === undefined || target === undefined) return undefined;
  const url = URL.parse(target, "http://localhost");
  const headers = parseHeaders(head);
  if (url === null || headers === undefined) return undefined;
  return { method, path: url.pathname, query: url.searchParams, headers };
}

/** A header that is repeated has its values joined with commas; undefined where a line is none. */
function parseHeaders(head: string): Headers | undefined {
  const headers = new Headers();
  const lines = head.slice(0, head.search(/\r?\n\r?\n/)).split(/\r?\n/).slice(1);
  for (const line of lines) {
    const [, name, value] = /^([^\s:]+):(.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) return undefined;
    try {
      headers.append(name, value);
    } catch {
      return undefined;
    }
  }
  return headers;
}

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  413: "Content Too Large",
  421: "Misdirected Request",
  503: "Service Unavailable",
};

function encode({ status, body, headers = {} }: ProbeResponse, isHead: boolean): Uint8Array {
  const isText = "content-type" in headers;
  const content = ENCODER.encode(isText ? String(body) : JSON.stringify(body));
  const fields = {
    "content-type": "application/json",
    "content-length": String(content.length),
    "cache-control": "no-store",
    ...headers,
    connection: "close",
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = ENCODER.encode(
    `HTTP/1.1 ${status} ${REASONS[status] ?? ""}\r\n${lines.join("")}\r\n`,
  );
  if (isHead) return head;
  const bytes = new Uint8Array(head.length + content.length);
  bytes.set(head);
  bytes.set(content, head.length);
  return bytes;
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    written += await connection.write(bytes.subarray(written));
  }
}

async function drain(connection: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(4 * 1024);
  for (let drained = 0; drained < DRAINED_BYTES_MAX;) {
    const count = await connection.read(buffer);
    if (count === null) return;
    drained += count;
  }
}

function close(resource: { close(): void }): void {
  try {
    resource.close();
  } catch {
    // It is closed already.
  }
}
