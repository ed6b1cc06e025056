import assert from "node:assert/strict";
import { join } from "node:path";
import { startBrokerProcess } from "../../dev/broker_process.ts";
import { freePort } from "../../dev/local_port.ts";
import { Random } from "../../lib/shop/random.ts";
import { liveBroker } from "../live_broker.ts";
import { TransactionalProducer } from "../../lib/kafka/transactional_producer.ts";
import type { TransactionalSender } from "../../lib/resend/redrive_session.ts";
import {
  assertEachOnce,
  createRedriveSite,
  numberedLetters,
  type RedriveSite,
} from "./redrive_site.ts";

await liveBroker();

const CHILD = join(import.meta.dirname ?? ".", "redrive_child.ts");
const DELAY_MS_MAX = 12;
/**
 * Kills the broker at a send to the topic, a commit, and a send to the log. Steps 1 and 2 are the claim; then each
 * transaction has 3 sends.
 */
const RESTART_STEPS = new Set([5, 14, 19]);

/** Runs the child up to the step and kills it there; returns the steps that it took. */
async function killAt(
  site: RedriveSite,
  { step, manner, delayMs }: { step: number; manner: "stay" | "go"; delayMs: number },
): Promise<readonly string[]> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", CHILD, site.address, site.deadLetterTopic, site.topic, `${step}`, manner],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let output = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    if (!output.endsWith("now\n")) continue;
    if (manner === "go") await new Promise((resolve) => setTimeout(resolve, delayMs));
    try {
      child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // The process has already ended.
    }
  }
  const { code, signal } = await child.status;
  assert.ok(signal === "SIGKILL" || code === 0, `exit code ${code} after ${output}`);
  return output.trimEnd().split("\n");
}

/**
 * Goal: a redrive can be killed at any time, and the next one sends the remaining letters, each once.
 * Method: repeated SIGKILL at seeded steps (opening, claim, sends to the topic, send to the log, commit, after it),
 * either just before the step or some milliseconds into it, always on the same letters; then one complete run.
 * Invariants: a read_committed reader never sees a letter twice and finally sees each one once, in order; the counts of
 * the last redrive add up.
 */
for (const seed of [1, 2]) {
  Deno.test(`redrive() killed repeatedly with SIGKILL sends each letter once (seed ${seed})`, async () => {
    await using site = await createRedriveSite();
    const letters = numberedLetters(site, { count: 240 });
    await site.deadLetter(letters);
    const random = new Random(seed);
    const below = (end: number) => Math.floor(random.unit() * end);
    const killed = new Set<string>();
    let seen = 0;
    for (let round = 0; round < 9; round++) {
      const steps = await killAt(site, {
        step: 1 + below(14),
        manner: below(2) === 0 ? "stay" : "go",
        delayMs: below(DELAY_MS_MAX),
      });
      killed.add(steps.at(-2) ?? "");
      const records = await site.read(site.topic);
      const values = new Set(records.map(({ value }) => value?.toHex()));
      assert.equal(values.size, records.length, `no letter twice after ${steps.join(", ")}`);
      assert.ok(records.length >= seen, "committed records stay");
      seen = records.length;
    }
    assert.ok(killed.size > 4, [...killed].join(", "));
    const summary = await site.redrive();
    assert.deepEqual([summary.found, summary.complete], [240, true]);
    const after = await site.read(site.topic);
    assertEachOnce(after, letters);
  });
}

/**
 * Goal: a broker crash during a redrive costs only time.
 * Method: SIGKILL of the broker after a commit, during a send, and during a commit, three times in one redrive.
 */
Deno.test("redrive() continues after its broker was killed and restarted, and sends each letter once", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "orderflow-redrive-" });
  const port = freePort();
  const start = () => startBrokerProcess({ port, dataDir, quickStart: true });
  let broker = await start();
  try {
    await using site = await createRedriveSite({ address: broker.address });
    const letters = numberedLetters(site, { count: 300 });
    await site.deadLetter(letters);
    let step = 0;
    let restarted = Promise.resolve();
    const takeStep = async () => {
      if (!RESTART_STEPS.has(++step)) return;
      await restarted;
      await broker.kill();
      // The redrive is not told about the restart and has to detect it.
      restarted = start().then((next) => void (broker = next));
    };
    const openSender = async (transactionalId: string): Promise<TransactionalSender> => {
      const sender = await TransactionalProducer.open(
        { brokers: [site.address], clientId: "orderflow-test" },
        { transactionalId, transactionTimeoutMs: 30_000 },
      );
      return {
        async send(request) {
          await takeStep();
          return await sender.send(request);
        },
        async commit() {
          await takeStep();
          await sender.commit();
        },
        [Symbol.asyncDispose]: () => sender[Symbol.asyncDispose](),
      };
    };
    const summary = await site.redrive({ lettersMax: 20, openSender });
    await restarted;
    assert.ok(step > Math.max(...RESTART_STEPS), `${step} steps`);
    assert.deepEqual([summary.found, summary.redriven], [300, 300]);
    assertEachOnce(await site.read(site.topic), letters);
  } finally {
    await broker.stop();
    await Deno.remove(dataDir, { recursive: true });
  }
});
