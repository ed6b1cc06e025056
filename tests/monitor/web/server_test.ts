import assert from "node:assert/strict";
import { join } from "node:path";
import { freePort, LOOPBACK } from "../../../dev/local_port.ts";
import { type Program, startProgram } from "../../../dev/programs.ts";
import { FolderMonitor } from "../../../lib/monitor/figures.ts";
import { until } from "../../site.ts";
import { journalLine, NOT_JSON } from "../journal_lines.ts";
import { Logs } from "../logs.ts";

const PROJECT = join(import.meta.dirname ?? ".", "..", "..", "..");

interface Served extends AsyncDisposable {
  readonly port: number;
  readonly program: Program;
  get(path: string): Promise<{ readonly status: number; readonly body: Json }>;
}

// deno-lint-ignore no-explicit-any -- parsed JSON of a test
type Json = any;

async function serve(logs: Logs): Promise<Served> {
  const port = freePort();
  const args = ["--logs", logs.path, "--serve", `localhost:${port}`];
  const program = await startProgram("monitor:web", args);
  await until(
    "the server listens",
    () => program.output.stdout.includes(`http://localhost:${port}/`),
  );
  return {
    port,
    program,
    async get(path) {
      const response = await fetch(`http://${LOOPBACK}:${port}${path}`);
      return { status: response.status, body: await response.json() };
    },
    async [Symbol.asyncDispose]() {
      program.signal("SIGKILL");
      await program.exitCode;
    },
  };
}

/** Sends text and returns the whole response. */
async function exchange(port: number, text: string): Promise<string> {
  using connection = await Deno.connect({ hostname: LOOPBACK, port });
  await connection.write(new TextEncoder().encode(text));
  await connection.closeWrite();
  return await new Response(connection.readable).text();
}

Deno.test("monitor:web refuses foreign hosts, other methods, and cross-origin requests, each under the same policy", async () => {
  using logs = new Logs();
  await using served = await serve(logs);
  const { port } = served;
  const own = `host: 127.0.0.1:${port}`;
  const cases: readonly (readonly [request: string, status: number])[] = [
    [`GET / HTTP/1.1\r\n${own}`, 200],
    [`HEAD / HTTP/1.1\r\n${own}`, 200],
    [`GET /monitor.js HTTP/1.1\r\nhost: localhost:${port}`, 200],
    [`GET /elements.js HTTP/1.1\r\nhost: LOCALHOST`, 200],
    [`GET /monitor.css HTTP/1.1\r\nhost: [::1]:9000`, 200],
    [`GET /api/figures HTTP/1.1\r\n${own}\r\nsec-fetch-site: same-origin`, 200],
    [`GET / HTTP/1.1\r\n${own}\r\nsec-fetch-site: cross-site`, 200],
    [`GET /api/figures HTTP/1.1\r\n${own}\r\nsec-fetch-site: cross-site`, 403],
    [`GET /api/search?failed HTTP/1.1\r\n${own}\r\nSec-Fetch-Site: same-site`, 403],
    [`GET / HTTP/1.1\r\nhost: evil.example:${port}`, 421],
    [`GET / HTTP/1.1\r\nhost: 127.0.0.1.evil.example`, 421],
    [`GET / HTTP/1.1\r\nhost: 192.168.0.1:${port}`, 421],
    [`GET / HTTP/1.1\r\n${own}\r\nhost: evil.example`, 421],
    [`GET http://evil.example/ HTTP/1.1\r\nhost: evil.example`, 421],
    [`POST / HTTP/1.1\r\nhost: evil.example`, 421],
    [`GET / HTTP/1.1\r\nx: y`, 400],
    [`GET / HTTP/1.1\r\n${own}\r\nno header`, 400],
    [`POST /api/figures HTTP/1.1\r\n${own}`, 405],
    [`DELETE / HTTP/1.1\r\n${own}`, 405],
    [`OPTIONS / HTTP/1.1\r\n${own}`, 405],
    [`GET /tracker.events HTTP/1.1\r\n${own}`, 404],
    [`GET /../deno.json HTTP/1.1\r\n${own}`, 404],
  ];
  for (const [request, status] of cases) {
    const answered = await exchange(port, `${request}\r\n\r\n`);
    assert.match(answered, new RegExp(`^HTTP/1\\.1 ${status} [A-Z]`), request);
    if (!answered.includes("an HTTP/1.1 request")) assertPolicy(answered);
    if (status === 405) assert.match(answered, /\r\nallow: GET, HEAD\r\n/);
    assert.doesNotMatch(answered, /access-control/i);
  }
  assert.match(
    await exchange(port, `HEAD / HTTP/1.1\r\n${own}\r\n\r\n`),
    /\r\ncontent-type: text\/html; charset=utf-8\r\n[^]*\r\n\r\n$/,
  );
});

function assertPolicy(answered: string): void {
  const policy = /\r\ncontent-security-policy: (.*)\r\n/.exec(answered)?.[1] ?? "";
  assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/);
  assert.doesNotMatch(policy, /unsafe|\*|http/);
  for (const directive of ["frame-ancestors", "base-uri", "form-action"]) {
    assert.match(policy, new RegExp(`; ${directive} 'none'(;|$)`));
  }
  for (
    const header of [
      "x-content-type-options: nosniff",
      "referrer-policy: no-referrer",
      "cross-origin-resource-policy: same-origin",
      "cache-control: no-store",
    ]
  ) assert.ok(answered.includes(`\r\n${header}\r\n`), header);
}

Deno.test("monitor:web shows the same figures as the other output formats and follows the journal", async () => {
  using logs = new Logs();
  logs.orders(150);
  await using served = await serve(logs);
  await until(
    "all lines are counted",
    async () => (await served.get("/api/figures")).body.figures.received === 150,
  );
  const { figures, page } = (await served.get("/api/figures")).body;
  using other = new FolderMonitor(logs.path);
  const same: Json = await other.look();
  assert.deepEqual(Object.keys(figures), Object.keys(same));
  for (
    const name of [
      ...["received", "processed", "failed", "success_rate_percent", "health", "state", "lag"],
      ...["orders_by_status", "errors_by_kind", "top_customers", "recent_events"],
    ]
  ) assert.deepEqual(figures[name], same[name], name);
  assert.deepEqual(page.failures.map(({ offset }: Json) => offset), [149, 99, 49]);
  logs.orders(7);
  await until(
    "the figures are updated",
    async () => (await served.get("/api/figures")).body.figures.received === 157,
  );
});

Deno.test("monitor:web opens records that are no longer in memory, and says which it cannot show", async () => {
  using logs = new Logs();
  logs.orders(600);
  logs.rotate();
  logs.orders(1_500);
  logs.journal(journalLine({ receivedAtMs: Date.now(), offset: 9, topic: "other" }));
  logs.journal(
    journalLine({ receivedAtMs: 5, offset: 9_000, value: "x".repeat(200_000), verdict: NOT_JSON }),
  );
  await using served = await serve(logs);
  const record = (query: string) => served.get(`/api/record?${query}`);
  for (const [topic, offset] of [["orders", 9], ["orders", 49], ["other", 9], ["orders", 2_099]]) {
    const { status, body } = await record(`topic=${topic}&partition=0&offset=${offset}`);
    assert.equal(status, 200);
    assert.deepEqual(
      body.records.map((line: Json) => [line.kafka_topic, line.kafka_offset]),
      [[topic, offset]],
    );
  }
  const long = (await record("topic=orders&partition=0&offset=9000")).body.records[0];
  assert.equal(
    long.raw_message.length,
    200_000,
    "complete, although only its beginning is in memory",
  );
  assert.equal((await record("topic=orders&partition=1&offset=9")).status, 404);
  for (const query of ["", "topic=orders&partition=0", "topic=orders&partition=-1&offset=1e3"]) {
    assert.equal((await record(query)).status, 400, query);
  }
});

Deno.test("monitor:web searches the journal, reports progress, and lists new matches", async () => {
  using logs = new Logs();
  logs.orders(2_500);
  logs.journal(journalLine({
    receivedAtMs: Date.now(),
    offset: 5_000,
    value: "a needle & <b>",
    verdict: NOT_JSON,
  }));
  await using served = await serve(logs);
  const search = async (query: string): Promise<Json> =>
    (await served.get(`/api/search?${query}`)).body;
  const ended = async (query: string) => {
    let body: Json;
    await until(
      "the search has ended",
      async () => (body = await search(query)).progress !== "searching",
    );
    return body;
  };
  const needle = await ended("text=NEEDLE%20%26%20%3Cb%3E");
  assert.equal(needle.progress, "complete");
  assert.equal(needle.read_bytes, needle.total_bytes);
  assert.deepEqual(needle.records.map(({ offset }: Json) => offset), [5_000]);
  const all = await ended("text=CUST-1");
  assert.equal(all.progress, "limited");
  assert.ok(all.read_bytes < all.total_bytes);
  assert.deepEqual([all.match_count, all.records.length], [1_000, 200]);
  assert.equal((await ended("failed")).match_count, 51);
  logs.journal(
    journalLine({
      receivedAtMs: Date.now(),
      offset: 5_001,
      value: "another needle & <b>",
      verdict: NOT_JSON,
    }),
  );
  await until(
    "the new record is found",
    async () => (await search("text=NEEDLE%20%26%20%3Cb%3E")).match_count === 2,
  );
  for (const query of ["", "text=", `text=${"x".repeat(201)}`, "failed&text=x"]) {
    assert.equal((await served.get(`/api/search?${query}`)).status, 400, query);
  }
});

Deno.test("monitor:web exits with 0 on Ctrl-C, even while a browser holds connections", async () => {
  using logs = new Logs();
  await using served = await serve(logs);
  using _held = await Deno.connect({ hostname: LOOPBACK, port: served.port });
  served.program.signal("SIGINT");
  assert.equal(await served.program.exitCode, 0, served.program.output.stderr);
  assert.equal(served.program.output.stderr, "");
});

async function run(args: readonly string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: PROJECT,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("monitor:web reports an address in use, not permitted, or invalid in one line", async () => {
  using logs = new Logs();
  using taken = Deno.listen({ hostname: LOOPBACK, port: 0 });
  const task = ["task", "--quiet", "monitor:web", "--logs", logs.path];
  const occupied = await run([...task, "--serve", `${LOOPBACK}:${taken.addr.port}`]);
  assert.equal(occupied.code, 1);
  assert.match(
    occupied.stderr,
    /^error: cannot serve the page at 127\.0\.0\.1:\d+ \(.*in use.*\): name another port with --serve\n$/,
  );
  const wrong = await run([...task, "--serve", "99999"]);
  assert.equal(wrong.code, 2);

  const port = freePort();
  const refused = await run([...task, "--serve", `0.0.0.0:${port}`]);
  assert.deepEqual([refused.code, refused.stdout], [1, ""]);
  const [, command = ""] = /^error: .*: deno (run .*)\n$/.exec(refused.stderr) ?? [];
  assert.match(command, new RegExp(`--allow-net=0\\.0\\.0\\.0:${port} .*--logs ${logs.path} `));
  const process = new Deno.Command(Deno.execPath(), {
    args: command.split(" "),
    cwd: PROJECT,
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    const ask = async (host: string) =>
      await exchange(port, `GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`).catch(() => "");
    await until(
      "the suggested command works",
      async () => (await ask("10.1.2.3:80")).includes(" 200 OK"),
    );
    assert.match(await ask("rebound.example"), /^HTTP\/1\.1 421 /);
  } finally {
    process.kill("SIGKILL");
    await process.status;
  }
});
