import assert from "node:assert/strict";
import { join } from "node:path";
import { listenForShutdown } from "../lib/shutdown.ts";

const PROGRAM = join(import.meta.dirname ?? ".", "shutdown_program.ts");
const ignore = Deno.build.os === "windows";

async function run(scenario: string, stopMs = 200): Promise<readonly [number, string]> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-run", PROGRAM, scenario, String(stopMs)],
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return [code, text.trimEnd().replaceAll("\n", "; ")];
}

Deno.test({
  name: "stop signals within a second count as one request, whatever their number and kind",
  ignore,
  async fn() {
    const stopped = (signal: string) => [0, `stopping: ${signal}; stopped: ${signal}`];
    const runs = await Promise.all([
      run("one"),
      run("three at once"),
      run("SIGINT, then SIGTERM"),
      run("SIGTERM, then SIGINT"),
      run("again after 0.9 s", 2_000),
      run("terminal closed"),
    ]);
    assert.deepEqual(runs, [
      ...Array(3).fill(stopped("SIGINT")),
      stopped("SIGTERM"),
      stopped("SIGINT"),
      stopped("SIGHUP"),
    ]);
    const [code, text] = await run("all three");
    assert.deepEqual([code, text.split("; ").length], [0, 2], text);
  },
});

Deno.test({
  name: "a stop signal more than a second after the first forces the exit with code 130",
  ignore,
  async fn() {
    const runs = await Promise.all([
      run("again after 1.2 s", 5_000),
      run("another one after 1.2 s", 5_000),
      run("repeats, then again", 5_000),
    ]);
    assert.deepEqual(runs, [
      [130, "stopping: SIGINT; forced: SIGINT"],
      [130, "stopping: SIGINT; forced: SIGTERM"],
      [130, "stopping: SIGINT; forced: SIGTERM"],
    ]);
  },
});

Deno.test({
  name: "closing the terminal while the program stops does not force the exit",
  ignore,
  async fn() {
    assert.deepEqual(
      await run("terminal closed meanwhile", 1_600),
      [0, "stopping: SIGINT; stopped: SIGINT"],
    );
  },
});

Deno.test({
  name:
    "a repeated signal counts by its arrival: one delayed by a stall of over a second forces nothing",
  ignore,
  async fn() {
    assert.deepEqual(
      await run("stalled after the first", 300),
      [0, "stopping: SIGINT; stopped: SIGINT"],
    );
  },
});

Deno.test({
  name: "a repeated signal after the program has stopped does not kill it",
  ignore,
  async fn() {
    assert.deepEqual(
      await run("again after the end", 0),
      [0, "stopping: SIGINT; stopped: SIGINT"],
    );
  },
});

Deno.test({
  name: "a signal right after the program requested its own stop does not force the exit",
  ignore,
  async fn() {
    assert.deepEqual(await run("from inside, then a signal"), [0, "stopped: the person left"]);
  },
});

function quietly(): ReturnType<typeof listenForShutdown> {
  return listenForShutdown({ onFirst: () => {}, onSecond: () => {} });
}

Deno.test("orStopped() returns the result of the work, or undefined when a stop is requested first", async () => {
  const idle = quietly();
  assert.equal(await idle.orStopped(Promise.resolve("done")), "done");
  await assert.rejects(idle.orStopped(Promise.reject(new Error("refused"))), {
    message: "refused",
  });
  const work = Promise.withResolvers<string>();
  const result = idle.orStopped(work.promise);
  idle.request("enough");
  assert.equal(await result, undefined);
  work.reject(new Error("too late to matter"));
  idle[Symbol.dispose]();
});

Deno.test("unlessStopped() ignores a failure of the work once a stop was requested", async () => {
  using shutdown = quietly();
  await assert.rejects(shutdown.unlessStopped(Promise.reject(new Error("refused"))), {
    message: "refused",
  });
  shutdown.request("enough");
  assert.equal(await shutdown.unlessStopped(Promise.reject(new Error("interrupted"))), undefined);
  assert.equal(await shutdown.unlessStopped(Promise.resolve("done")), "done");
});
