import assert from "node:assert/strict";
import { LOOPBACK } from "../dev/local_port.ts";
import { parseListenAddress } from "../lib/cli/listen_address.ts";
import { ProbeServer, type ProbeServerOptions } from "../lib/probe_server.ts";
import { until } from "./site.ts";

function serve(options: Partial<ProbeServerOptions> = {}): ProbeServer {
  return new ProbeServer({
    listen: () => Deno.listen({ hostname: LOOPBACK, port: 0 }),
    answer: ({ path }) => ({ status: 200, body: { path } }),
    onFailure() {},
    onRecovery() {},
    ...options,
  });
}

async function ask(port: number): Promise<unknown> {
  const response = await fetch(`http://${LOOPBACK}:${port}/live`);
  assert.equal(response.status, 200);
  return await response.json();
}

async function exchange(port: number, text: string): Promise<string> {
  using connection = await Deno.connect({ hostname: LOOPBACK, port });
  await connection.write(new TextEncoder().encode(text));
  await connection.closeWrite();
  return await new Response(connection.readable).text();
}

/** Opens a connection and sends half a request; reports whether the server has closed it. */
async function halfOpen(port: number) {
  const connection = await Deno.connect({ hostname: LOOPBACK, port });
  await connection.write(new TextEncoder().encode("GET /live HTTP/1.1\r\nhost: "));
  const client = { isClosed: false, close: () => connection.close() };
  connection.read(new Uint8Array(1)).catch(() => {}).finally(() => client.isClosed = true);
  return client;
}

Deno.test("ProbeServer answers while 1,200 clients leave their requests half-open, and keeps at most 64 of them", async () => {
  await using server = serve();
  const { port } = server;
  const clients: Awaited<ReturnType<typeof halfOpen>>[] = [];
  for (let count = 0; count < 1_200; count++) {
    clients.push(await halfOpen(port));
    if (clients.length === 200) {
      await until(
        "the oldest are closed",
        () => clients.filter((each) => each.isClosed).length >= 136,
      );
      for (const client of clients.splice(0)) client.close();
    }
  }
  assert.deepEqual(await ask(port), { path: "/live" });
});

Deno.test("ProbeServer closes connections whose request takes too long or is too large", async () => {
  await using server = serve({ requestTimeoutMs: 50 });
  const slow = await halfOpen(server.port);
  await until("it is closed", () => slow.isClosed);
  slow.close();
  await using patient = serve();
  const large = `GET /live HTTP/1.1\r\nx: ${"x".repeat(8 * 1024)}`;
  assert.match(await exchange(patient.port, large), /^HTTP\/1\.1 400 /);
});

Deno.test("ProbeServer answers one well-formed request per connection, and nothing else", async () => {
  await using server = serve();
  const { port } = server;
  const request = "GET /live?x HTTP/1.1\r\nhost: a\r\n\r\n";
  const answered = await exchange(port, request.repeat(3));
  assert.match(
    answered,
    /^HTTP\/1\.1 200 OK\r\n[^]*\r\nconnection: close\r\n\r\n\{"path":"\/live"\}$/,
  );
  assert.match(await exchange(port, "HEAD /a/../b HTTP/1.0\r\n\r\n"), /200 OK[^]*\r\n\r\n$/);
  for (const text of ["\r\n\r\n", "GET http:// HTTP/1.1\r\n\r\n", "\x16\x03\x01\r\n\r\n"]) {
    assert.match(await exchange(port, text), /^HTTP\/1\.1 400 /, JSON.stringify(text));
  }
});

Deno.test("ProbeServer reopens its port after a failure, and reports the failure once", async () => {
  const events: string[] = [];
  let failing: Deno.TcpListener | undefined;
  let port = 0;
  let refusals = 0;
  await using server = serve({
    listen() {
      if (failing !== undefined && refusals++ === 0) throw new Deno.errors.AddrInUse("taken");
      return failing = Deno.listen({ hostname: LOOPBACK, port });
    },
    onFailure: () => events.push("failed"),
    onRecovery: () => events.push("recovered"),
  });
  port = server.port;
  failing?.close(); // a pending accept then throws
  await until("it failed", () => events.includes("failed"));
  await until("it answers again", () => ask(port).then(() => true, () => false));
  assert.deepEqual(events, ["failed", "recovered"]);
  assert.equal(refusals, 2);
});

Deno.test("parseListenAddress() accepts a port with or without a host", () => {
  assert.deepEqual(parseListenAddress("8088"), { port: 8088 });
  assert.deepEqual(parseListenAddress("0.0.0.0:8088"), { hostname: "0.0.0.0", port: 8088 });
  assert.deepEqual(parseListenAddress("pod.local:1"), { hostname: "pod.local", port: 1 });
  assert.deepEqual(parseListenAddress("[::1]:65535"), { hostname: "::1", port: 65_535 });
  for (const text of ["", "0", "65536", ":8088", "a:", "::1:80", "a b:80", "80:a", "-1"]) {
    assert.throws(() => parseListenAddress(text), /expected a port from 1 to 65535/, text);
  }
});
