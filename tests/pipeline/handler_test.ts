import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { liveBroker } from "../live_broker.ts";
import { assertJournalIsTopic, createSite, type Site } from "../site.ts";

await liveBroker();

const PROGRAM = join(import.meta.dirname ?? ".", "handler_program.ts");

async function runHandlerProgram(site: Site): Promise<{ code: number; lines: readonly string[] }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--allow-net",
      "--allow-read",
      "--allow-write",
      "--allow-env=NODE_ENV,KAFKA_*,KAFKAJS_*",
      PROGRAM,
      ...[site.broker, site.topic, site.group, site.logs, site.deadLetterTopic],
    ],
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return { code, lines: new TextDecoder().decode(stdout).trimEnd().split("\n") };
}

Deno.test("a handler behind the tracker: failures are retried, then dead-lettered with their reason, and finally committed", async () => {
  await using site = await createSite({ partitions: 1 });
  await site.run("producer", ["--count", "8", "--rate", "max", "--json"]);
  const { lines } = await runHandlerProgram(site);
  assert.deepEqual(lines.slice(0, -1), [
    "0 1 1",
    ...["0 2 1", "0 2 2", "0 2 3"],
    "0 3 1",
    ...["0 4 1", "0 4 2", "0 4 3", "0 4 4"],
    ...["0 5 1", "0 5 2", "0 5 3", "0 5 4"],
    ...["0 6 1", "0 7 1", "0 8 1"],
  ]);
  const totals = JSON.parse(lines.at(-1) ?? "");
  assert.deepEqual(
    [totals.received, totals.processed, totals.failed, totals.dead_lettered],
    [8, 5, 3, 3],
  );
  await assertJournalIsTopic(site);

  const consumer = site.kafka.consumer({ groupId: `${site.group}-letters`, maxWaitTimeInMs: 100 });
  const reasons: string[] = [];
  await consumer.connect();
  await consumer.subscribe({ topics: [site.deadLetterTopic], fromBeginning: true });
  const { promise: all, resolve } = Promise.withResolvers<void>();
  await consumer.run({
    eachMessage: ({ message }) => {
      reasons.push(String(message.headers?.["orderflow.errors.reason"]));
      if (reasons.length === 3) resolve();
      return Promise.resolve();
    },
  });
  await all;
  await consumer.disconnect();
  assert.deepEqual(reasons, ["PROCESSING", "PROCESSING", "TIMEOUT"]);

  const again = await runHandlerProgram(site);
  assert.equal(again.lines.length, 1, "committed records are not handed over again");
});

Deno.test("tracker --schema none accepts records of any kind as valid", async () => {
  await using site = await createSite({ partitions: 1 });
  const producer = site.kafka.producer();
  await producer.connect();
  const values = ["plain text", "{}", null, "[1]", Buffer.from([0xff, 0x00])];
  await producer.send({ topic: site.topic, messages: values.map((value) => ({ value })) });
  await producer.disconnect();
  const { code, stdout } = await site.run("tracker", [
    "--exit-at-end",
    "--schema",
    "none",
    "--dead-letters",
    "none",
  ]);
  assert.equal(code, 0);
  assert.match(stdout, /5 records received = 5 processed \+ 0 failed \(0 dead-lettered\)/);
  assert.doesNotMatch(stdout, /bad record/);
  await assertJournalIsTopic(site);
  assert.ok((await site.journal()).every((line) => line["event_type"] === "message.received"));
});
