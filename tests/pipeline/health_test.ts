import assert from "node:assert/strict";
import { freePort, LOOPBACK } from "../../dev/local_port.ts";
import type { Program } from "../../dev/programs.ts";
import { loggerOf } from "../../lib/log.ts";
import { openHealthEndpoint } from "../../lib/tracker/health_endpoint.ts";
import { brokerOfFile } from "../faults/fault_site.ts";
import { createSite, hasCommand, until } from "../site.ts";

const broker = await brokerOfFile();
const EXIT_TIMEOUT_MS = 20_000;

interface Probe {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Undefined if nothing listens. */
async function probe(port: number, path: string): Promise<Probe | undefined> {
  try {
    const response = await fetch(`http://${LOOPBACK}:${port}${path}`);
    const text = await response.text();
    assert.equal(text.includes("\n"), false, "one line");
    return { status: response.status, body: JSON.parse(text) };
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

async function untilReady(port: number): Promise<void> {
  await until("ready", async () => (await probe(port, "/ready"))?.status === 200);
}

/** Waits for a 503 with this reason, while the process stays alive. */
async function untilNotReady(port: number, reason: RegExp): Promise<void> {
  let last: Probe | undefined;
  await until(`not ready: ${reason}`, async () => {
    last = await probe(port, "/ready");
    assert.equal((await probe(port, "/live"))?.status, 200);
    return last?.status === 503 && reason.test(String(last.body["reason"]));
  });
  assert.equal(last?.body["ready"], false);
}

async function endsWithin(program: Program, timeoutMs: number): Promise<number> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`not ended: ${program.output.stderr}`)),
    timeoutMs,
  );
  try {
    return await Promise.race([program.exitCode, promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function setFileLimit(pid: number, limit: string): Promise<void> {
  const args = [`--fsize=${limit}`, "--pid", String(pid)];
  const { success } = await new Deno.Command("prlimit", { args }).output();
  assert.ok(success, `prlimit ${args.join(" ")}`);
}

/**
 * Goal: an orchestrator can tell a working tracker from one that waits for something.
 * Method: one tracker; a file-size limit stands in for a full disk, then the broker goes away and comes back; then
 * SIGTERM while a client holds a connection with half a request.
 * Invariants: live all the time; ready exactly while it has its partitions and can write, otherwise not ready with
 * the reason; the open connection does not delay the end.
 */
Deno.test({
  name: "the tracker is always live, and ready while it is in the group and can write",
  ignore: Deno.build.os !== "linux" || !await hasCommand("prlimit", "--version"),
  fn: async () => {
    await using site = await createSite({ broker: broker.address });
    const port = freePort();
    const tracker = await site.start("tracker", ["--health-port", String(port), "--quiet"]);
    await untilReady(port);
    assert.deepEqual(await probe(port, "/live"), { status: 200, body: { live: true } });
    assert.deepEqual(await probe(port, "/ready"), { status: 200, body: { ready: true } });
    assert.equal((await probe(port, "/other"))?.status, 404);

    await setFileLimit(tracker.pid, "1000:unlimited");
    assert.equal((await site.run("producer", ["--rate", "max", "--count", "50"])).code, 0);
    await untilNotReady(port, /^the journal cannot be written: .*File too large/);
    await setFileLimit(tracker.pid, "unlimited");
    await untilReady(port);

    await broker.stop();
    await untilNotReady(port, /^no broker has answered for \d+ s$|^not in the consumer group yet$/);
    await broker.restart();
    await untilReady(port);

    using slow = await Deno.connect({ hostname: LOOPBACK, port });
    await slow.write(new TextEncoder().encode("GET /live HTTP/1.1\r\nHost: "));
    tracker.signal("SIGTERM");
    assert.equal(await endsWithin(tracker, EXIT_TIMEOUT_MS), 0, tracker.output.stderr);
    assert.equal(await probe(port, "/live"), undefined);
    assert.equal((await site.journal()).length, 50);
  },
});

Deno.test("a second member is ready although the group has no partition for it", async () => {
  await using site = await createSite({ broker: broker.address, partitions: 1 });
  const ports = [freePort(), freePort()];
  for (const port of ports) {
    const logs = `${site.logs}-${port}`;
    await site.start("tracker", ["--logs", logs, "--health-port", String(port), "--quiet"]);
    await untilReady(port);
  }
  for (const port of ports) await untilReady(port);
});

Deno.test("a health port already in use is reported in one line with exit code 1, before the journal is created", async () => {
  await using site = await createSite({ broker: broker.address });
  using taken = Deno.listen({ hostname: LOOPBACK, port: 0 });
  const { port } = taken.addr;
  const { code, stderr } = await site.run("tracker", ["--health-port", String(port)]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    new RegExp(
      `^error: cannot answer health probes at 127\\.0\\.0\\.1:${port} \\(.*\\): name another port .*\n$`,
    ),
  );
  await assert.rejects(Deno.stat(site.logs), Deno.errors.NotFound);
});

Deno.test("health requests accept only GET and HEAD, on only three paths", async () => {
  await using endpoint = openHealthEndpoint({
    hostname: LOOPBACK,
    port: 0,
    notReadyReason: () => "starting",
    metrics: () => "a 1\n",
    log: loggerOf("test"),
  });
  const ask = async (method: string, path: string) => {
    const response = await fetch(`http://${LOOPBACK}:${endpoint.port}${path}`, { method });
    await response.body?.cancel();
    return response.status;
  };
  assert.equal(await ask("GET", "/live"), 200);
  assert.equal(await ask("HEAD", "/ready"), 503);
  assert.equal(await ask("GET", "/metrics"), 200);
  assert.equal(await ask("POST", "/live"), 405);
  assert.equal(await ask("POST", "/metrics"), 405);
  assert.equal(await ask("GET", "/"), 404);
  assert.equal(await ask("GET", "/ready/../live?x=1"), 200);
});
