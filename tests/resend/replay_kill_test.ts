import assert from "node:assert/strict";
import { Random } from "../../lib/shop/random.ts";
import type { ReplaySender } from "../../lib/resend/replay_run.ts";
import { TransactionalProducer } from "../../lib/kafka/transactional_producer.ts";
import { liveBroker } from "../live_broker.ts";
import { until } from "../site.ts";
import { batched, contents, contentsOf, createReplaySite, lines } from "./replay_site.ts";

const { address } = await liveBroker();

/**
 * Goal: a replay can be killed at any time, and the next run sends the remaining records, each once.
 * Method: repeated SIGKILL of the program at a seeded time after it began to send; then one complete run.
 * Invariants: a read_committed reader never sees a record twice and finally sees each one once, in order.
 */
Deno.test("tracker replay killed repeatedly with SIGKILL sends each record once", async () => {
  await using replaying = await createReplaySite();
  const random = new Random(7);
  const all = batched(lines(600));
  const logs = await replaying.write(all);
  await replaying.create(3);
  let seen = 0;
  for (let round = 0; round < 3; round++) {
    const program = await replaying.start(["--logs", logs, "--rate", "300"]);
    let hasEnded = false;
    program.exitCode.then(() => hasEnded = true);
    const before = seen;
    await until("the replay sends", async () => {
      seen = (await replaying.read()).length;
      return seen > before || hasEnded;
    });
    await new Promise((resolve) => setTimeout(resolve, random.unit() * 300));
    program.signal("SIGKILL");
    await program.exitCode;
    const records = await replaying.read();
    assert.equal(new Set(records.map(({ valueHash }) => valueHash)).size, records.length);
    assert.ok(records.length >= seen, "committed records stay");
    seen = records.length;
  }
  const { ok, sent, already_replayed, in_topic } = await replaying.replay(["--logs", logs]);
  assert.deepEqual([ok, sent + already_replayed, in_topic], [true, 600, 600]);
  assert.deepEqual(contents(await replaying.read()), contentsOf(all));
});

/**
 * Goal: each record is sent once, whichever step fails and whether or not the step took effect.
 * Method: of the producer's steps (3 sends, the log entry, the commit) every seventh fails, either before or after it
 * takes effect.
 */
for (const moment of ["before", "after"] as const) {
  Deno.test(`replay() continues when its steps fail ${moment} they take effect, and sends each record once`, async () => {
    await using replaying = await createReplaySite();
    const all = batched(lines(60));
    const logs = await replaying.write(all);
    let step = 0;
    const failing = async <Result>(work: () => Promise<Result>): Promise<Result> => {
      const fails = ++step % 7 === 3;
      const error = Object.assign(new Error("the connection broke"), {
        name: "KafkaJSConnectionError",
      });
      if (fails && moment === "before") throw error;
      const result = await work();
      if (fails) throw error;
      return result;
    };
    const openSender = async (transactionalId: string): Promise<ReplaySender> => {
      const connection = { brokers: address.split(","), clientId: "orderflow-test" };
      const options = { transactionalId, transactionTimeoutMs: 30_000 };
      const sender = await TransactionalProducer.open(connection, options);
      // The claim, a send and a commit, succeeds so that every run makes progress.
      let own = 0;
      const at = <Result>(work: () => Promise<Result>) => ++own > 2 ? failing(work) : work();
      return {
        send: (request) => at(() => sender.send(request)),
        commit: () => at(() => sender.commit()),
        sendOffsets: (...args) => sender.sendOffsets(...args),
        [Symbol.asyncDispose]: () => sender[Symbol.asyncDispose](),
      };
    };
    const summary = await replaying.call(logs, { recordsMax: 12, openSender });
    assert.ok(step > 25, `${step} steps`);
    assert.deepEqual([summary.ok, summary.sent, summary.in_topic], [true, 60, 60]);
    assert.deepEqual(contents(await replaying.read()), contentsOf(all));
  });
}

Deno.test("replay() ends when another replay to the topic begins, which continues from its progress", async () => {
  await using replaying = await createReplaySite();
  const logs = await replaying.write(lines(60));
  const { promise: sending, resolve } = Promise.withResolvers<void>();
  const first = replaying.call(logs, {
    ...{ recordsMax: 6, rate: 12 },
    onProgress: ({ phase }) => phase === "sending" && resolve(),
  });
  const fenced = assert.rejects(first, /this replay to ".*" was fenced: another one has begun/);
  await sending;
  const second = await replaying.call(logs);
  await fenced;
  assert.deepEqual([second.ok, second.in_topic], [true, 60]);
});
