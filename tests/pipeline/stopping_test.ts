/**
 * One keypress is one stop. The programs run as people run them: in a terminal, below `deno task` or `npx`, which
 * forward the signal that the terminal has already delivered to the whole group.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { startBrokerProcess } from "../../dev/broker_process.ts";
import { FaultyProxy } from "../../dev/faulty_proxy.ts";
import { freePort, LOOPBACK } from "../../dev/local_port.ts";
import { deleteSync, killSync, uniqueName } from "../live_broker.ts";
import { missingTerminal, Terminal } from "../monitor/terminal.ts";
import { hasCommand, until } from "../site.ts";
import { createTaskFolder } from "../task_folder.ts";

const folder = await createTaskFolder();
const port = freePort();
// The programs reach the broker through a proxy, so that a test can make it silent.
const proxy = await FaultyProxy.listen(() => port);
const broker = await startBrokerProcess({
  port,
  dataDir: join(folder, "shared-broker"),
  settings: { "advertised.listeners": `PLAINTEXT://${proxy.address}` },
  quickStart: true,
});
globalThis.addEventListener("unload", () => {
  killSync(broker.pid);
  deleteSync(folder);
});

/** The port of the program `broker`, whose data is formatted only once. */
const brokerPort = freePort();
const DENO_TASK = [Deno.execPath(), "task"];
/** Allows for five programs that start at once. */
const START_TIMEOUT_MS = 90_000;
const NPX = ["npx", "-y", `deno@${Deno.version.deno}`, "task"];
/** The programs' messages when they are forced to exit. */
const FORCED = /at once: |again: leaving|left at once|exited immediately|exiting immediately/;

const noTerminal = await missingTerminal();
const noNpx = noTerminal ??
  (await hasCommand("npx", "--version") ? undefined : "npx is not installed");

function terminalTest(name: string, fn: () => Promise<void>, missing = noTerminal): void {
  Deno.test({
    name: missing === undefined ? name : `${name} (SKIPPED: ${missing})`,
    ignore: missing !== undefined,
    fn,
  });
}

interface Stoppable {
  readonly name: string;
  readonly args: readonly string[];
  /** Matches the screen once the program can be stopped. */
  readonly running: RegExp;
  /** Matches the screen after an orderly stop. */
  readonly stopped: RegExp;
}

function stoppablePrograms() {
  const topic = uniqueName("stopping");
  return {
    producer: {
      name: "producer",
      args: ["--topic", topic, "--rate", "8"],
      running: /delivered +order [1-9]/,
      stopped: /\d+ orders? generated = [^]*seed \d+/,
    },
    tracker: {
      name: "tracker",
      args: ["--topic", topic, "--group", topic, "--logs", topic],
      running: /order \d+ /,
      stopped: /\d+ records? received = [^]*records\/s/,
    },
    monitor: {
      name: "monitor",
      args: ["--json", "--logs", "."],
      running: /"received":0/,
      stopped: /exit code \d/,
    },
    demo: {
      name: "demo",
      args: ["--orders", "100000", "--rate", "20"],
      running: /orders in the topic, [1-9]/,
      stopped: /Nothing was lost, and nothing was repeated/,
    },
    soak: {
      name: "soak",
      args: ["--minutes", "5", "--rate", "20"],
      running: /monitor \d+ MiB; .* [1-9]\d* journaled/,
      stopped: /The soak passed/,
    },
    broker: {
      name: "broker",
      args: ["--port", String(brokerPort), "--data", join(folder, `broker-${brokerPort}`)],
      running: /Ctrl-C stops it/,
      stopped: /the broker has stopped/,
    },
  } satisfies Readonly<Record<string, Stoppable>>;
}

async function start(
  launcher: readonly string[],
  { name, args, term = "dumb" }: {
    readonly name: string;
    readonly args: readonly string[];
    /**
     * By default a terminal that cannot show a dashboard, which would read Ctrl-C as a key instead of receiving a
     * signal.
     */
    readonly term?: string;
  },
): Promise<Terminal> {
  return await Terminal.start({
    command: [...launcher, name, ...args],
    cwd: folder,
    columns: 150,
    rows: 60,
    env: { KAFKA_BROKER: proxy.address, TERM: term },
  });
}

/** Stops the broker alone, since its start needs both cores; then the others at once, which mostly wait. */
async function stopAll(launcher: readonly string[], codes: readonly number[]): Promise<void> {
  const { broker, ...others } = stoppablePrograms();
  const ended = [await stop(broker, launcher)];
  ended.push(
    ...await Promise.all(Object.values(others).map((program) => stop(program, launcher))),
  );
  for (const { code, program, text } of ended) {
    assert.doesNotMatch(text, FORCED);
    assert.match(text, program.stopped);
    assert.ok(codes.includes(code), text);
  }
}

async function stop(program: Stoppable, launcher: readonly string[]) {
  await using terminal = await start(launcher, program);
  await terminal.shows(program.running, START_TIMEOUT_MS);
  await terminal.press("C-c");
  const { code } = await terminal.left();
  // npx does not wait for the program that it started.
  const ended = new RegExp(`${FORCED.source}|${program.stopped.source}`);
  return { code, program, text: await terminal.shows(ended) };
}

terminalTest(
  "one Ctrl-C under deno task is one orderly stop with exit code 0: producer, tracker, monitor, demo, soak, broker",
  () => stopAll(DENO_TASK, [0]),
);

terminalTest(
  "one Ctrl-C under npx is one orderly stop: producer, tracker, monitor, demo, soak, broker",
  () => stopAll(NPX, [0, 130]), // npx itself exits with 130
  noNpx,
);

terminalTest("one Ctrl-C on the dashboard of monitor and demo is one orderly stop", async () => {
  const { demo } = stoppablePrograms();
  const dashboards = [
    { name: "monitor", args: ["--logs", "."], running: /NO DATA/, stopped: /exit code/ },
    { ...demo, running: /orders in the topic, [1-9]/ },
  ];
  await Promise.all(dashboards.map(async (program) => {
    await using terminal = await start(DENO_TASK, { ...program, term: "xterm" });
    await terminal.shows(program.running, START_TIMEOUT_MS);
    await terminal.press("C-c");
    const { code, text } = await terminal.left();
    assert.doesNotMatch(text, FORCED);
    assert.match(text, program.stopped);
    assert.equal(code, 0, text);
  }));
});

Deno.test({
  name:
    "SIGTERM to deno task's group and then to deno task, as timeout sends it, is one orderly stop",
  ignore: Deno.build.os === "windows",
  async fn() {
    const { producer, tracker } = stoppablePrograms();
    const tasks = [producer, tracker].map((program) => new Task(program));
    await until(
      "both programs run",
      () => tasks.every(({ isRunning }) => isRunning),
      START_TIMEOUT_MS,
    );
    {
      using _ = silence(); // so that stopping takes longer than all the signals
      for (const task of tasks) task.signalGroup();
      // Signals that arrive at the same moment are often delivered as one.
      await new Promise((resolve) => setTimeout(resolve, 200));
      for (const task of tasks) task.signal();
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    for (const task of tasks) {
      const code = await task.exitCode;
      assert.doesNotMatch(task.text, FORCED);
      assert.match(task.text, task.program.stopped);
      assert.equal(code, 0, task.text);
    }
  },
});

class Task {
  readonly program: Stoppable;
  readonly exitCode: Promise<number>;
  readonly #pid: number;
  text = "";

  constructor(program: Stoppable) {
    this.program = program;
    const process = new Deno.Command(Deno.execPath(), {
      args: ["task", program.name, ...program.args],
      cwd: folder,
      env: { KAFKA_BROKER: proxy.address, NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    this.#pid = process.pid;
    const ended = [process.stdout, process.stderr].map((stream) => this.#collect(stream));
    this.exitCode = Promise.all(ended).then(() => process.status).then(({ code }) => code);
  }

  get isRunning(): boolean {
    return this.program.running.test(this.text);
  }

  /** Does nothing if the process has ended. */
  signal(receiver = this.#pid): void {
    try {
      Deno.kill(receiver, "SIGTERM");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  signalGroup(): void {
    this.signal(-this.#pid);
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) this.text += part;
  }
}

/** Accepts connections and answers nothing, until disposed of. */
function silence(): Disposable {
  proxy.setMode({ kind: "black-hole" });
  return { [Symbol.dispose]: () => proxy.setMode({ kind: "pass" }) };
}

terminalTest("a second Ctrl-C after more than a second forces the exit with code 130", async () => {
  await using terminal = await start(DENO_TASK, {
    name: "producer",
    args: ["--topic", uniqueName("forced"), "--rate", "10"],
  });
  await terminal.shows(/delivered +order [1-9]/);
  using _ = silence();
  // Some orders become due and are never acknowledged: an orderly stop waits for them.
  await new Promise((resolve) => setTimeout(resolve, 500));
  await terminal.press("C-c");
  await terminal.shows(/SIGINT: no new orders/);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await terminal.press("C-c");
  const { code, text } = await terminal.left();
  assert.match(text, /stopped at once: /);
  assert.equal(code, 130, text);
});

/** Opens a port that accepts connections and never answers. */
function silentPort(): Disposable & {
  readonly address: string;
  readonly connected: Promise<unknown>;
} {
  const listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
  const connections: Deno.Conn[] = [];
  const { promise: connected, resolve } = Promise.withResolvers<void>();
  (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      resolve();
    }
  })();
  return {
    address: `${LOOPBACK}:${listener.addr.port}`,
    connected,
    [Symbol.dispose]() {
      listener.close();
      for (const connection of connections) connection.close();
    },
  };
}

terminalTest("one Ctrl-C before a program has connected ends it with exit code 0", async () => {
  const programs = [
    { name: "producer", stopped: /^0 orders generated/m },
    { name: "tracker", stopped: /^0 records received/m },
  ];
  await Promise.all(programs.map(async ({ name, stopped }) => {
    using silent = silentPort();
    await using terminal = await start(DENO_TASK, { name, args: ["--broker", silent.address] });
    await silent.connected;
    await terminal.press("C-c");
    const { code, text } = await terminal.left();
    assert.match(text, stopped);
    assert.equal(code, 0, text);
  }));
});

terminalTest(
  "a program whose terminal is closed stops in order, with or without a dashboard",
  async () => {
    const { producer, tracker, demo } = stoppablePrograms();
    const dashboard = { name: "monitor", args: ["--logs", "."], running: /NO DATA/, term: "xterm" };
    const demoDashboard = { ...demo, running: /orders in the topic, [1-9]/, term: "xterm" };
    await Promise.all([producer, tracker, dashboard, demoDashboard].map(async (program) => {
      const codeFile = await Deno.makeTempFile({ dir: folder });
      // Its output has no terminal any more, so the shell writes its exit code to a file.
      const shell = ["sh", "-c", `trap : HUP; "$@"; echo $? > ${codeFile}`, "sh"];
      const terminal = await start([...shell, ...DENO_TASK], program);
      try {
        await terminal.shows(program.running, START_TIMEOUT_MS);
      } finally {
        await terminal[Symbol.asyncDispose]();
      }
      await until("it has ended", async () => await Deno.readTextFile(codeFile) !== "");
      assert.equal(await Deno.readTextFile(codeFile), "0\n", program.name);
    }));
  },
);
