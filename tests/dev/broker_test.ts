import assert from "node:assert/strict";
import { join } from "node:path";
import { ConfigResourceTypes, Kafka, logLevel } from "kafkajs";
import { freePorts, startBrokerCluster } from "../../dev/broker_cluster.ts";
import { type BrokerProcess, startBrokerProcess } from "../../dev/broker_process.ts";
import { ensureBroker } from "../../dev/ensure_broker.ts";
import { answersKafka, listsBroker } from "../../dev/kafka_probe.ts";
import { freePort, isLocal, isPortFree, parseAddress } from "../../dev/local_port.ts";
import { createTopics, until, whenKnown } from "../site.ts";
import { processes, processesOf } from "./processes.ts";

const PROJECT = join(import.meta.dirname ?? ".", "..", "..");
const PROBE_TIMEOUT_MS = 2_000;
/** Measured: 3.2 to 3.8 s on two cores, of which 2 s are the session timeout of the killed broker. */
const RESTART_AFTER_KILL_MS_MAX = 20_000;
const PROGRAM_START_TIMEOUT_MS = 60_000;
const PROGRAM_END_TIMEOUT_MS = 30_000;

/** Returns a free port and a folder; disposing of them kills the brokers that were started on them. */
async function createBrokerSite() {
  const dataDir = await Deno.makeTempDir({ prefix: "orderflow-broker-test-" });
  const port = freePort();
  const brokers: BrokerProcess[] = [];
  return {
    dataDir,
    port,
    async start(): Promise<BrokerProcess> {
      const broker = await startBrokerProcess({ port, dataDir, quickStart: true });
      brokers.push(broker);
      return broker;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(brokers.map((broker) => broker.kill()));
      await Deno.remove(dataDir, { recursive: true });
    },
  };
}

function clusterIdIn(dataDir: string): string | undefined {
  const properties = Deno.readTextFileSync(join(dataDir, "kafka", "meta.properties"));
  return /^cluster\.id=(.+)$/m.exec(properties)?.[1];
}

/** Starts a server that accepts connections and sends the given bytes, or nothing. */
function startOtherServer(answer?: Uint8Array) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections: Deno.Conn[] = [];
  const accepting = (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      if (answer) await connection.write(answer);
    }
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      for (const connection of connections) connection.close();
    },
  };
}

Deno.test("parseAddress() reads host:port and rejects anything else, quoting it", () => {
  assert.deepEqual(parseAddress("localhost:9092"), { hostname: "localhost", port: 9092 });
  assert.deepEqual(parseAddress("[::1]:19092"), { hostname: "[::1]", port: 19092 });
  for (const wrong of ["localhost", "localhost:", ":9092", "localhost:0", "localhost:65536", ""]) {
    assert.throws(() => parseAddress(wrong), { name: "SyntaxError", message: /host:port/ });
  }
});

Deno.test("isLocal() is true for the names of the loopback address", () => {
  assert.equal(isLocal("localhost"), true);
  assert.equal(isLocal("127.0.0.1"), true);
  assert.equal(isLocal("kafka.example.com"), false);
});

Deno.test("answersKafka() is false within its timeout for a server that is not a broker", async (t) => {
  await t.step("a port without a listener", async () => {
    assert.equal(await answersKafka(`127.0.0.1:${freePort()}`, PROBE_TIMEOUT_MS), false);
  });

  await t.step("a program that never answers", async () => {
    await using other = startOtherServer();
    const startedMs = performance.now();
    assert.equal(await answersKafka(`127.0.0.1:${other.port}`, 200), false);
    assert.ok(performance.now() - startedMs < PROBE_TIMEOUT_MS);
  });

  await t.step("a program with another protocol", async () => {
    await using other = startOtherServer(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n"));
    assert.equal(await answersKafka(`127.0.0.1:${other.port}`, PROBE_TIMEOUT_MS), false);
  });
});

Deno.test("a broker keeps its data over stop, start, SIGKILL, and start", async (t) => {
  await using site = await createBrokerSite();
  let broker = await site.start();
  const clusterId = clusterIdIn(site.dataDir);
  assert.match(clusterId ?? "", /^[\w-]{22}$/);

  await t.step("it answers and lists itself as a node", async () => {
    assert.equal(broker.address, `127.0.0.1:${site.port}`);
    assert.equal(await answersKafka(broker.address, PROBE_TIMEOUT_MS), true);
    assert.equal(await listsBroker(broker.address, PROBE_TIMEOUT_MS), true);
  });

  await t.step(
    "a second broker on its port or its folder is refused with the reason",
    async () => {
      await assert.rejects(site.start(), {
        message: `port ${site.port} is in use by another program: choose another with --port`,
      });
      await assert.rejects(
        startBrokerProcess({ port: freePort(), dataDir: site.dataDir, quickStart: true }),
        { message: /another broker uses it, stop that one or choose another folder with --data$/ },
      );
      assert.equal(await listsBroker(broker.address, PROBE_TIMEOUT_MS), true);
    },
  );

  await t.step("ensureBroker() uses it and does not stop it", async () => {
    const ensured = await ensureBroker({
      address: `localhost:${site.port},unreachable.invalid:1`,
      dataDir: site.dataDir,
      log: () => assert.fail("there is nothing to start"),
    });
    assert.deepEqual([ensured.startedHere, ensured.how], [false, "running"]);
    await ensured.stop();
    assert.equal(await listsBroker(broker.address, PROBE_TIMEOUT_MS), true);
  });

  await t.step("after stop() the port is free", async () => {
    await broker.stop();
    await broker.stop();
    assert.equal(await answersKafka(broker.address, PROBE_TIMEOUT_MS), false);
    assert.equal(isPortFree(site.port), true);
  });

  await t.step("after a restart it is the same cluster", async () => {
    broker = await site.start();
    assert.equal(await listsBroker(broker.address, PROBE_TIMEOUT_MS), true);
    assert.equal(clusterIdIn(site.dataDir), clusterId);
  });

  await t.step(
    `after SIGKILL it is back within ${RESTART_AFTER_KILL_MS_MAX} ms`,
    async () => {
      await broker.kill();
      assert.equal((await broker.exited).signal, "SIGKILL");
      const startedMs = performance.now();
      broker = await site.start();
      const restartMs = performance.now() - startedMs;
      assert.ok(restartMs < RESTART_AFTER_KILL_MS_MAX, `took ${restartMs} ms`);
      assert.equal(clusterIdIn(site.dataDir), clusterId);
      await broker.stop();
    },
  );
});

Deno.test("a broker that fails to start reports the cause from its log", async () => {
  await using site = await createBrokerSite();
  await assert.rejects(
    startBrokerProcess({
      port: site.port,
      dataDir: site.dataDir,
      settings: { "log.segment.bytes": "many" },
    }),
    { message: /Invalid value many for configuration log\.segment\.bytes/ },
  );
});

Deno.test("ensureBroker() names the remedy if a broker can be neither found nor started", async (t) => {
  const log = () => {};
  await t.step("at a remote address", async () => {
    await assert.rejects(
      ensureBroker({ address: "broker.invalid:9092", dataDir: "unused", log }),
      { message: /^No Kafka broker answers at broker\.invalid:9092, .*set KAFKA_BROKER/ },
    );
  });
  await t.step("at a port in use by another program", async () => {
    await using other = startOtherServer(new Uint8Array(64));
    await assert.rejects(
      ensureBroker({ address: `127.0.0.1:${other.port}`, dataDir: "unused", log }),
      {
        message: `port ${other.port} is in use by another program: choose another with --port`,
      },
    );
  });
});

/** Returns a command that runs `broker.ts` with the permissions of its task. */
function brokerProgram(args: readonly string[], env: Record<string, string> = {}): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    env,
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--allow-net",
      "--allow-read",
      "--allow-write",
      "--allow-run=java,mvn,docker,setpriv",
      "--allow-env=KAFKA_BROKER",
      join(PROJECT, "dev", "broker.ts"),
      ...args,
    ],
    cwd: PROJECT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function isAlive(pid: number): Promise<boolean> {
  return (await processes()).some((each) => each.pid === pid);
}

/** Returns the process id of the broker on the data folder, found by its command line. */
async function brokerPid(dataDir: string): Promise<number | undefined> {
  return (await processes()).find(({ args }) =>
    /^java .* kafka\.Kafka /.test(args) && args.includes(dataDir)
  )?.pid;
}

// The program must run Kafka from the jars, but it would prefer a container engine.
const noEngine = !(await engineAnswers());

async function engineAnswers(): Promise<boolean> {
  const { composeAnswers } = await import("../../dev/compose_broker.ts");
  return await composeAnswers();
}

Deno.test({
  name: "deno task broker runs until SIGTERM, exits with 0, and leaves no Java process behind",
  ignore: Deno.build.os !== "linux" || !noEngine,
  async fn(t) {
    const dataDir = await Deno.makeTempDir({ prefix: "orderflow-broker-program-" });
    const port = freePort();
    const args = ["--port", String(port), "--data", dataDir];
    const program = brokerProgram(args).spawn();
    const output = program.output();
    try {
      await until(
        "the broker answers",
        () => listsBroker(`127.0.0.1:${port}`, 500),
        PROGRAM_START_TIMEOUT_MS,
      );
      const pid = await brokerPid(dataDir);
      assert.ok(pid !== undefined);

      await t.step("the programs' topics exist with their settings", async () => {
        const brokers = [`127.0.0.1:${port}`];
        const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
        await admin.connect();
        await until(
          "both topics exist",
          async () =>
            (await admin.listTopics()).filter((name) => /^orders/.test(name)).length === 2,
          PROGRAM_START_TIMEOUT_MS,
        );
        const { resources } = await admin.describeConfigs({
          includeSynonyms: false,
          resources: ["orders", "orders-dlq"].map((name) => ({
            type: ConfigResourceTypes.TOPIC,
            name,
            configNames: ["retention.ms"],
          })),
        });
        await admin.disconnect();
        assert.deepEqual(
          resources.map(({ configEntries }) => configEntries[0]?.configValue),
          ["604800000", "-1"],
        );
      });

      await t.step("a second one has nothing to start", async () => {
        const second = await brokerProgram(args).output();
        assert.equal(
          new TextDecoder().decode(second.stdout),
          `A Kafka broker already answers at localhost:${port}; nothing to start\n`,
        );
        assert.deepEqual([second.code, second.stderr.length], [0, 0]);
      });

      program.kill("SIGTERM");
      const { code, stdout, stderr } = await output;
      assert.equal(new TextDecoder().decode(stderr), "");
      assert.equal(code, 0);
      const text = new TextDecoder().decode(stdout);
      assert.match(text, new RegExp(`running from Kafka's jars, data in ${dataDir}`));
      assert.match(text, new RegExp(`Kafka answers at localhost:${port}; Ctrl-C stops it`));
      assert.match(text, /the broker has stopped; its data is kept for the next start\n$/);
      assert.equal(await isAlive(pid), false);
    } finally {
      await endProgram(program, dataDir);
      await output;
      await Deno.remove(dataDir, { recursive: true });
    }
  },
});

Deno.test({
  name:
    "deno task broker --nodes 3: all nodes join, topics survive the loss of one, and no process is left behind",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "orderflow-nodes-" });
    const dataDir = join(folder, "data");
    const ports = threeFreePorts();
    const program = brokerProgram([
      ...["--nodes", "3", "--port", String(ports[0]), "--data", dataDir],
    ]).spawn();
    const output = program.output();
    try {
      for (const [index, port] of ports.entries()) {
        await until(
          `node ${index + 1} has joined`,
          () => listsBroker(`127.0.0.1:${port}`, 500, index + 1),
          2 * PROGRAM_START_TIMEOUT_MS,
        );
      }
      await assertDurable(ports);
      program.kill("SIGTERM");
      const { code, stdout, stderr } = await output;
      assert.equal(new TextDecoder().decode(stderr), "");
      assert.equal(code, 0);
      const addresses = ports.map((port) => `127.0.0.1:${port}`).join(",");
      assert.ok(new TextDecoder().decode(stdout).includes(`Kafka answers at ${addresses};`));
      assert.deepEqual(await processesOf(folder), []);
    } finally {
      await endProgram(program, dataDir);
      await output;
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("a cluster with a node that cannot start leaves no node behind", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "orderflow-nodes-" });
  await using other = startOtherServer();
  try {
    await assert.rejects(
      startBrokerCluster({ ports: [...freePorts(2), other.port], dataDir, quickStart: true }),
      { message: `port ${other.port} is in use by another program: choose another with --port` },
    );
    assert.deepEqual(await processesOf(dataDir), []);
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
});

/** Asserts that a new topic has three replicas and needs two in-sync replicas to acknowledge a record. */
async function assertDurable(ports: readonly number[]): Promise<void> {
  const brokers = ports.map((port) => `127.0.0.1:${port}`);
  const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    const topic = "durable";
    await createTopics(admin, [{ topic, replicationFactor: -1, numPartitions: 1 }]);
    const metadata = await whenKnown(topic, () => admin.fetchTopicMetadata({ topics: [topic] }));
    assert.deepEqual(metadata.topics[0]?.partitions.map(({ replicas }) => replicas.length), [3]);
    const configNames = ["min.insync.replicas"];
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames }];
    const described = await whenKnown(
      `the configuration of ${topic}`,
      () => admin.describeConfigs({ resources, includeSynonyms: false }),
    );
    assert.equal(described.resources[0]?.configEntries[0]?.configValue, "2");
  } finally {
    await admin.disconnect();
  }
}

/** Returns three consecutive free ports. */
function threeFreePorts(): readonly number[] {
  for (;;) {
    const first = freePort();
    const ports = [first, first + 1, first + 2];
    if (ports.every(isPortFree)) return ports;
  }
}

Deno.test({
  name: "deno task broker ends its Java process even when it is killed",
  ignore: Deno.build.os !== "linux" || !noEngine,
  async fn() {
    const dataDir = await Deno.makeTempDir({ prefix: "orderflow-broker-program-" });
    const port = freePort();
    const program = brokerProgram(["--port", String(port), "--data", dataDir]).spawn();
    const output = program.output();
    try {
      await until(
        "the broker answers",
        () => listsBroker(`127.0.0.1:${port}`, 500),
        PROGRAM_START_TIMEOUT_MS,
      );
      const pid = await brokerPid(dataDir);
      assert.ok(pid !== undefined);
      program.kill("SIGKILL");
      await until("Java has ended", async () => !await isAlive(pid), PROGRAM_END_TIMEOUT_MS);
    } finally {
      await endProgram(program, dataDir);
      await output;
      await Deno.remove(dataDir, { recursive: true });
    }
  },
});

/** Ends what a failed test left running. */
async function endProgram(program: Deno.ChildProcess, dataDir: string): Promise<void> {
  try {
    program.kill("SIGKILL");
  } catch {
    // It has already ended.
  }
  const pid = await brokerPid(dataDir);
  if (pid !== undefined) Deno.kill(pid, "SIGKILL");
}

Deno.test("deno task broker rejects invalid options with one line and code 2", async () => {
  for (const args of [["--port", "70000"], ["--prot", "9092"], ["--port"]]) {
    const { code, stdout, stderr } = await brokerProgram(args).output();
    assert.equal(code, 2, args.join(" "));
    assert.equal(stdout.length, 0);
    assert.match(new TextDecoder().decode(stderr), /^error: [^\n]+\n$/);
  }
});

Deno.test("deno task broker reports a port in use in one line, with code 1", async () => {
  await using other = startOtherServer(new Uint8Array(64));
  const { code, stderr } = await brokerProgram(["--port", String(other.port)]).output();
  assert.equal(
    new TextDecoder().decode(stderr),
    `error: port ${other.port} is in use by another program: choose another with --port\n`,
  );
  assert.equal(code, 1);
});

Deno.test({
  name: "deno task broker says what to install if nothing can run a broker",
  ignore: Deno.build.os === "windows",
  async fn(t) {
    const binDir = await Deno.makeTempDir({ prefix: "orderflow-bin-" });
    const args = ["--port", String(freePort())];
    try {
      await t.step("with nothing on PATH", async () => {
        const { code, stderr } = await brokerProgram(args, { PATH: binDir }).output();
        assert.match(
          new TextDecoder().decode(stderr),
          /^error: No Kafka broker answers at localhost:\d+, no Docker engine answers, and Java 17 or newer with Maven was not found: install Docker, or Java 17 and Maven, or set KAFKA_BROKER to an existing broker\n$/,
        );
        assert.equal(code, 1);
      });
      await t.step("with a Java that is too old", async () => {
        await Deno.writeTextFile(
          join(binDir, "java"),
          `#!/bin/sh\necho 'openjdk version "11.0.22" 2024-01-16' >&2\n`,
          { mode: 0o755 },
        );
        const { code, stderr } = await brokerProgram(args, { PATH: binDir }).output();
        assert.match(
          new TextDecoder().decode(stderr),
          /, and the Java on PATH is version 11, too old for Kafka: install Docker, or Java 17 /,
        );
        assert.equal(code, 1);
      });
    } finally {
      await Deno.remove(binDir, { recursive: true });
    }
  },
});

Deno.test({
  name: "deno task broker, stopped while it starts, exits with 0 and leaves no Java process behind",
  ignore: Deno.build.os !== "linux" || !noEngine,
  async fn() {
    const dataDir = await Deno.makeTempDir({ prefix: "orderflow-broker-program-" });
    const program = brokerProgram(["--port", String(freePort()), "--data", dataDir]).spawn();
    const output = program.output();
    try {
      await until(
        "Java runs",
        async () => await brokerPid(dataDir) !== undefined,
        PROGRAM_START_TIMEOUT_MS,
      );
      program.kill("SIGINT");
      const { code, stderr } = await output;
      assert.equal(new TextDecoder().decode(stderr), "");
      assert.equal(code, 0);
      assert.equal(await brokerPid(dataDir), undefined);
    } finally {
      await endProgram(program, dataDir);
      await output;
      await Deno.remove(dataDir, { recursive: true });
    }
  },
});

const composeCommand = await findCompose();

async function findCompose(): Promise<readonly string[] | undefined> {
  for (const command of [["docker", "compose"], ["docker-compose"]]) {
    const [program = "", ...args] = command;
    const output = new Deno.Command(program, { args: [...args, "version"], stdin: "null" })
      .output();
    if (await output.then(({ success }) => success, () => false)) return command;
  }
  return undefined;
}

Deno.test({
  name:
    "docker-compose.yaml is valid without and with each profile, and the files that it mounts exist" +
    (composeCommand ? "" : " (SKIPPED: neither docker compose nor docker-compose is installed)"),
  ignore: composeCommand === undefined,
  async fn() {
    const [program = "", ...args] = composeCommand ?? [];
    for (
      const [profile, services] of Object.entries({
        "": ["kafka", "topics"],
        "three-nodes": ["kafka-1", "kafka-2", "kafka-3"],
        observability: ["otel"],
        ui: ["ui"],
      })
    ) {
      const { stdout, stderr } = await new Deno.Command(program, {
        args: [
          ...[...args, "--file", join(PROJECT, "docker-compose.yaml")],
          ...(profile === "" ? [] : ["--profile", profile]),
          ...["config", "--services"],
        ],
        stdin: "null",
      }).output();
      const found = new TextDecoder().decode(stdout).split("\n");
      for (const service of services) {
        assert.ok(found.includes(service), new TextDecoder().decode(stderr));
      }
    }
    const compose = await Deno.readTextFile(join(PROJECT, "docker-compose.yaml"));
    const mounted = [...compose.matchAll(/^ +- (\.\/\S+?):/gm)].map(([, path]) => path ?? "");
    assert.equal(mounted.length, 2);
    for (const path of mounted) await Deno.stat(join(PROJECT, path));
    JSON.parse(await Deno.readTextFile(join(PROJECT, "deploy", "grafana", "orderflow.json")));
  },
});

Deno.test("deploy/kubernetes/tracker.yaml uses existing options of the tracker and its two probes", async () => {
  const manifest = await Deno.readTextFile(join(PROJECT, "deploy", "kubernetes", "tracker.yaml"));
  const options = [...manifest.matchAll(/^ +- (--[a-z-]+)/gm)].map(([, option]) => option ?? "");
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "-A", "tracker.ts", "--help"],
    cwd: PROJECT,
    env: { NO_COLOR: "1" },
  }).output();
  const help = new TextDecoder().decode(stdout);
  assert.ok(options.includes("--health-port"));
  for (const option of options) assert.match(help, new RegExp(` ${option}\\b`));
  assert.match(manifest, /path: \/live/);
  assert.match(manifest, /path: \/ready/);
});

Deno.test("docker-compose.yaml runs the Kafka version that dev/pom.xml fetches", async () => {
  const compose = await Deno.readTextFile(join(PROJECT, "docker-compose.yaml"));
  const pom = await Deno.readTextFile(join(PROJECT, "dev", "pom.xml"));
  const version = /<kafka\.version>(.+)<\/kafka\.version>/.exec(pom)?.[1];
  const images = [...compose.matchAll(/image: (\S+)/g)].map(([, image]) => image);
  const ofKafka = images.filter((image) => image?.startsWith("apache/kafka"));
  assert.ok(ofKafka.length >= 4);
  assert.deepEqual(new Set(ofKafka), new Set([`apache/kafka:${version}`]));
  for (const image of images) assert.match(image ?? "", /:v?\d+\.\d+\.\d+$/, "pinned");
});
