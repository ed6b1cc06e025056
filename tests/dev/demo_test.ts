import assert from "node:assert/strict";
import { join } from "node:path";
import { Kafka, logLevel } from "kafkajs";
import { freePort } from "../../dev/local_port.ts";
import { startProgram } from "../../dev/programs.ts";
import { liveBroker } from "../live_broker.ts";
import { readJournal, until } from "../site.ts";
import { processesOf } from "./processes.ts";

const shared = await liveBroker();

interface DemoFolder extends AsyncDisposable {
  readonly folder: string;
  start(args: readonly string[]): ReturnType<typeof startProgram>;
  run(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }>;
}

/** Creates a folder for consecutive demos, which start a broker of their own unless an address is given. */
async function createDemoFolder(broker = `127.0.0.1:${freePort()}`): Promise<DemoFolder> {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-demo-" });
  const start: DemoFolder["start"] = (args) =>
    startProgram("demo", args, { cwd: folder, env: { KAFKA_BROKER: broker } });
  return {
    folder,
    start,
    async run(args) {
      const { exitCode, output } = await start(args);
      return { code: await exitCode, ...output };
    },
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

function figureOf(stdout: string, name: string): number {
  const [, figure] = new RegExp(`^  ${name} +([\\d,]+)`, "m").exec(stdout) ?? [];
  return Number(figure?.replaceAll(",", ""));
}

function assertProof(
  { code, stdout, stderr }: { code: number; stdout: string; stderr: string },
  orders: number,
): void {
  assert.equal(code, 0, stdout + stderr);
  for (const name of ["generated", "acknowledged", "in the topic", "journaled"]) {
    assert.equal(figureOf(stdout, name), orders, stdout);
  }
  for (const name of ["missing", "duplicated", "different"]) {
    assert.equal(figureOf(stdout, name), 0);
  }
  assert.match(stdout, /Nothing was lost, and nothing was repeated\./);
  assert.doesNotMatch(stdout + stderr, /\n\s+at |Warning/);
  assert.ok(!(stdout + stderr).includes("\u001b"));
}

Deno.test("demo proves its first run, a second run on old data, and a run after the broker's data was deleted", async () => {
  await using demo = await createDemoFolder();
  assertProof(await demo.run(["--orders", "90", "--rate", "60"]), 90);
  assertProof(await demo.run(["--orders", "40", "--rate", "max"]), 40);
  await Deno.remove(join(demo.folder, ".kafka", "data"), { recursive: true });
  assertProof(await demo.run(["--orders", "30", "--rate", "max"]), 30);
  assert.equal((await readJournal(join(demo.folder, "logs"))).length, 160);
  assert.deepEqual(await processesOf(demo.folder), []);
});

Deno.test("demo stops cleanly on SIGINT and proves what was sent until then", async () => {
  await using demo = await createDemoFolder();
  const program = await demo.start(["--orders", "100000", "--rate", "100"]);
  await until("orders are shown", () => /^tracker {3}order \d+/m.test(program.output.stdout));
  program.signal("SIGINT");
  const code = await program.exitCode;
  const generated = figureOf(program.output.stdout, "generated");
  assert.ok(generated > 0 && generated < 100_000);
  assertProof({ code, ...program.output }, generated);
  assert.deepEqual(await processesOf(demo.folder), []);
});

Deno.test("demo stopped before the first order exits with 0 and has nothing to prove", async () => {
  await using demo = await createDemoFolder(shared.address);
  const program = await demo.start(["--orders", "100000", "--rate", "0.1"]);
  await until("the demo has begun", () => program.output.stdout.includes("topic orderflow-demo-"));
  program.signal("SIGINT");
  program.signal("SIGINT");
  assert.equal(await program.exitCode, 0, program.output.stdout + program.output.stderr);
  assert.match(program.output.stdout, /^stopped before the first order: there is nothing/m);
  assert.deepEqual(await processesOf(demo.folder), []);
});

Deno.test("demo --chaos: with broker and tracker killed and the network cut, the proof holds", async () => {
  await using demo = await createDemoFolder(shared.address);
  const ended = await demo.run(["--chaos", "--seed", "7"]);
  const why = {
    "tracker is killed": "appends nothing twice",
    "broker is killed": "is sent again, in order",
    "is cut": "the broker stores it once",
    "drops": "before its answer arrives",
  };
  for (const [fault, reason] of Object.entries(why)) {
    assert.match(
      ended.stdout,
      new RegExp(
        `^chaos +(\\d) of 4: the .*${fault}.*\n(.*\n)*?chaos +\\1 of 4 over: .*${reason}$`,
        "m",
      ),
      ended.stderr,
    );
  }
  assertProof(ended, figureOf(ended.stdout, "generated"));
  assert.ok(figureOf(ended.stdout, "generated") > 500);
  assert.deepEqual(await processesOf(demo.folder), []);
});

Deno.test("demo on an existing broker uses its own topics, group, and folder, and deletes the topics", async () => {
  await using demo = await createDemoFolder(shared.address);
  const ended = await demo.run(["--orders", "20", "--rate", "max"]);
  assertProof(ended, 20);
  const [, topic = ""] =
    /topic (orderflow-demo-\w+), group \1, folder logs\/\1\//.exec(ended.stdout) ?? [];
  assert.notEqual(topic, "", ended.stdout);
  assert.equal((await readJournal(join(demo.folder, "logs", topic))).length, 20);
  const admin = new Kafka({ brokers: [shared.address], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await until("its topics are deleted", async () => {
    const existing = await admin.listTopics();
    return !existing.some((name) => name.startsWith(topic));
  });
  await admin.disconnect();
});
