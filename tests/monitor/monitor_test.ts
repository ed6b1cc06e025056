import assert from "node:assert/strict";
import { join } from "node:path";
import { journalLine, logLine, orderJson, VALIDATION_FAILURE } from "./journal_lines.ts";
import { Logs } from "./logs.ts";

const ROOT = new URL("../..", import.meta.url);
const DEADLINE_MS = 20_000;
/** The permissions that the monitor's task grants. */
const PERMISSIONS = ["--no-prompt", "--allow-read"];

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function command(args: readonly string[], permissions: readonly string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", ...permissions, "monitor.ts", ...args],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  });
}

async function run(
  args: readonly string[],
  permissions: readonly string[] = PERMISSIONS,
): Promise<Outcome> {
  const { code, stdout, stderr } = await command(args, permissions).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** A running monitor and its output lines. */
class Running implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  #arrived = Promise.withResolvers<void>();

  constructor(args: readonly string[]) {
    this.#process = command(args, PERMISSIONS).spawn();
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    let held = "";
    for await (const text of this.#process.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (held + text).split("\n");
      held = lines.pop() ?? "";
      this.lines.push(...lines);
      this.#arrived.resolve();
      this.#arrived = Promise.withResolvers();
    }
    this.#arrived.resolve();
  }

  /** Waits for the first line at or after index `from` that matches. */
  async waitFor(fits: (line: string) => boolean, from = 0): Promise<string> {
    const deadlineMs = Date.now() + DEADLINE_MS;
    for (;;) {
      const line = this.lines.slice(from).find(fits);
      if (line !== undefined) return line;
      const leftMs = deadlineMs - Date.now();
      assert.ok(
        leftMs > 0,
        `no matching line within ${DEADLINE_MS} ms, of:\n${this.lines.join("\n")}`,
      );
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, leftMs);
      await Promise.race([this.#arrived.promise, promise]);
      clearTimeout(timer);
    }
  }

  async stop(signal: Deno.Signal): Promise<Outcome> {
    this.#process.kill(signal);
    const stderr = await new Response(this.#process.stderr).text();
    const { code } = await this.#process.status;
    await this.#reading;
    return { code, stdout: this.lines.join("\n"), stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // The process has already exited.
    }
    await this.#process.status;
    await this.#reading;
    await this.#process.stderr.cancel().catch(() => {});
  }
}

Deno.test("monitor --once --json prints one object with the documented keys and exits with 0 when healthy", async () => {
  using logs = new Logs();
  logs.orders(30);
  logs.rotate();
  logs.orders(19);
  const { code, stdout, stderr } = await run(["--logs", logs.path, "--once", "--json"]);
  assert.equal(stderr, "");
  assert.equal(stdout.trimEnd().split("\n").length, 1);
  const { received, processed, failed, success_rate_percent, quality_score, health } = JSON.parse(
    stdout,
  );
  assert.deepEqual({ received, processed, failed, success_rate_percent, quality_score, health }, {
    received: 49,
    processed: 49,
    failed: 0,
    success_rate_percent: 100,
    quality_score: 100,
    health: "healthy",
  });
  assert.equal(code, 0);
});

Deno.test("monitor --once exits with 1 when unhealthy and 3 when stale or without data, and gives the reason", async () => {
  using unhealthy = new Logs();
  unhealthy.orders(5);
  unhealthy.journal(
    Array.from(
      { length: 5 },
      () => journalLine({ receivedAtMs: Date.now(), verdict: VALIDATION_FAILURE }),
    ).join(""),
  );
  const bad = await run(["--logs", unhealthy.path, "--once"]);
  assert.equal(bad.code, 1, bad.stderr);
  assert.match(bad.stdout, /UNHEALTHY[^]*50 % of 10 messages in 5 min succeeded/);
  assert.match(bad.stdout, /10 received, 5 processed, 5 failed/);

  using stale = new Logs();
  stale.orders(5, 120_000);
  const old = await run(["--logs", stale.path, "--once"]);
  assert.equal(old.code, 3, old.stderr);
  assert.match(old.stdout, /STALE[^]*no data for 2 min \(stale after 60 s\)/);

  const missing = await run(["--logs", join(stale.path, "nowhere"), "--once"]);
  assert.equal(missing.code, 3, missing.stderr);
  assert.match(missing.stdout, /NO DATA[^]*there is no journal and no log yet/);
  assert.match(
    missing.stderr,
    /^there is no folder ".*nowhere" \(--logs\): the tracker makes it\n$/,
  );
});

Deno.test("monitor rejects an invalid option with one line and code 2, and an unreadable file with code 1", async () => {
  for (const args of [["--bogus"], ["--interval", "5"], ["--interval", "1ms"], ["--once", "x"]]) {
    const { code, stdout, stderr } = await run(args);
    assert.equal(code, 2, stderr);
    assert.equal(stdout, "");
    assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
  }
  using logs = new Logs();
  logs.orders(1);
  const file = await run(["--logs", join(logs.path, "tracker.events"), "--once"]);
  assert.equal(file.code, 1);
  assert.match(file.stderr, /^error: Cannot read ".*": it is a file; .*\n$/);
  const denied = await run(["--logs", logs.path, "--once"], [
    "--no-prompt",
    `--allow-read=${ROOT.pathname}`,
  ]);
  assert.equal(denied.code, 1);
  assert.match(
    denied.stderr,
    /^error: Cannot read ".*": this program was not given permission.*\n$/,
  );
});

Deno.test("monitor shows appended lines within a second, reports state changes, and exits with 0 on SIGTERM", async () => {
  using logs = new Logs();
  await using monitor = new Running(["--logs", logs.path, "--interval", "100ms"]);
  await monitor.waitFor((line) => line.includes("NO DATA"));
  const startMs = performance.now();
  logs.orders(3);
  await monitor.waitFor((line) => line.includes("received 3 "));
  const seenMs = performance.now() - startMs;
  assert.ok(seenMs < 1500, `seen after ${seenMs} ms`);

  logs.rotate();
  logs.orders(2);
  logs.journal("junk\u001b[2J\n");
  logs.log(logLine({ atMs: Date.now(), level: "ERROR", message: "The journal cannot be written" }));
  await monitor.waitFor((line) => line.includes("received 5 "));
  await monitor.waitFor((line) => line.includes("tracker.events was rotated"));
  await monitor.waitFor((line) => line.includes("1 line could not be read: junk\\u001b[2J"));
  await monitor.waitFor((line) =>
    /UNHEALTHY, tracker running: the tracker had an error/.test(line)
  );
  const { code, stdout, stderr } = await monitor.stop("SIGTERM");
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  assert.ok(!stdout.includes("\u001b"));
});

Deno.test("monitor counts a 1 MB message and reports an unreadable line", async () => {
  using logs = new Logs();
  logs.orders(2);
  const value = JSON.stringify({ ...JSON.parse(orderJson(2)), note: "x".repeat(1_000_000) });
  logs.journal(journalLine({ receivedAtMs: Date.now(), offset: 2, value }) + "no JSON\n");
  logs.orders(1);
  const { stdout } = await run(["--logs", logs.path, "--once", "--json"]);
  const { received, failed, unreadable_lines, reasons, recent_events } = JSON.parse(stdout);
  assert.deepEqual({ received, failed }, { received: 4, failed: 0 });
  assert.deepEqual(unreadable_lines, { journal: 1, log: 0, sample: "no JSON" });
  assert.ok(reasons.includes("1 line could not be read"), reasons.join());
  assert.equal(recent_events.length, 4);
});

/**
 * Goal: no line is lost or counted twice while a tracker writes and rotates.
 * Method: 20,000 lines are appended in pieces that end in mid-line, with 12 rotations (two of them in a
 * row) and a growing log, while the monitor runs.
 * Invariant: the last snapshot has every line, in total and by partition.
 */
Deno.test("monitor --json counts every line exactly once under rotation, and stops on SIGINT", async () => {
  using logs = new Logs();
  await using monitor = new Running(["--logs", logs.path, "--json", "--interval", "100ms"]);
  let offset = 0;
  let failed = 0;
  for (let batch = 0; batch < 200; batch++) {
    let text = "";
    for (let count = 0; count < 100; count++, offset++) {
      const isBad = offset % 77 === 0;
      if (isBad) failed++;
      text += journalLine({
        receivedAtMs: Date.now(),
        partition: offset % 3,
        offset,
        ...(isBad && { verdict: VALIDATION_FAILURE }),
      });
    }
    const half = Math.floor(text.length * Math.random());
    logs.journal(text.slice(0, half));
    if (batch % 3 === 0) await new Promise((resolve) => setTimeout(resolve));
    logs.journal(text.slice(half));
    logs.log(logLine({ atMs: Date.now(), message: "Metrics", metadata: { messages_received: 9 } }));
    if (batch % 20 === 19) logs.rotate();
    if (batch % 100 === 50) {
      logs.rotate();
      logs.orders(0);
      logs.rotate();
    }
  }
  const last = await monitor.waitFor((line) => JSON.parse(line).received === offset);
  const snapshot = JSON.parse(last);
  assert.equal(snapshot.failed, failed);
  assert.deepEqual(
    snapshot.partitions.map(({ received }: { received: number }) => received),
    [0, 1, 2].map((partition) => Math.ceil((offset - partition) / 3)),
  );
  assert.deepEqual(snapshot.unreadable_lines, { journal: 0, log: 0 });
  assert.equal(snapshot.files.journal.behind_bytes, 0);
  const { code, stderr } = await monitor.stop("SIGINT");
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
});

Deno.test("a pipe in place of a closed segment counts as unreadable; in place of the journal it is an error", async () => {
  using logs = new Logs();
  logs.orders(3);
  const pipe = async (name: string) => {
    const args = [join(logs.path, name)];
    assert.ok((await new Deno.Command("mkfifo", { args }).output()).success);
  };
  await pipe("tracker.events.000001");
  const segment = await run(["--logs", logs.path, "--once", "--json"]);
  const { received, unreadable_lines } = JSON.parse(segment.stdout);
  assert.equal(received, 3);
  assert.equal(unreadable_lines.journal, 1);
  assert.match(unreadable_lines.sample, /tracker\.events\.000001: it is not a regular file/);

  Deno.removeSync(join(logs.path, "tracker.events"));
  await pipe("tracker.events");
  const live = await run(["--logs", logs.path, "--once"]);
  assert.equal(live.code, 1);
  assert.match(live.stderr, /^error: Cannot read ".*tracker\.events": it is not a regular file\n$/);
});

Deno.test("monitor waits for a folder that appears, disappears, and reappears", async () => {
  using logs = new Logs();
  const folder = join(logs.path, "later");
  await using monitor = new Running(["--logs", folder, "--interval", "100ms"]);
  await monitor.waitFor((line) => line.includes("NO DATA"));
  for (const total of [1, 2, 3]) {
    Deno.mkdirSync(folder);
    Deno.writeTextFileSync(
      join(folder, "tracker.events"),
      journalLine({ receivedAtMs: Date.now(), offset: total }),
    );
    await monitor.waitFor((line) => line.includes(`received ${total} `));
    Deno.removeSync(folder, { recursive: true });
  }
  assert.equal((await monitor.stop("SIGTERM")).code, 0);
});

Deno.test("monitor does not import kafkajs", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "monitor.ts"],
    cwd: ROOT,
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout));
  const specifiers = modules.map(({ specifier }: { specifier: string }) => specifier);
  assert.ok(specifiers.some((specifier: string) => specifier.endsWith("lib/monitor/tail/tail.ts")));
  assert.deepEqual(
    specifiers.filter((specifier: string) => /lib\/kafka\/|kafkajs|lib\/tracker\//.test(specifier)),
    [],
  );
});
