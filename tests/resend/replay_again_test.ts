import assert from "node:assert/strict";
import { join } from "node:path";
import { ConfigResourceTypes } from "kafkajs";
import { ClusterClient } from "../../lib/kafka/cluster.ts";
import { newTargetConfig } from "../../lib/resend/replay_target.ts";
import { liveBroker } from "../live_broker.ts";
import { until, withAdmin } from "../site.ts";
import { createReplaySite, line, lines, NOW_MS, warnings } from "./replay_site.ts";

await liveBroker();

Deno.test("tracker replay run again sends no copy of its own that a tracker of the target has journaled since", async () => {
  await using replaying = await createReplaySite();
  const { site, to } = replaying;
  await replaying.create(1);
  const producer = site.kafka.producer();
  await producer.connect();
  await producer.send({ topic: to, messages: [{ value: "a" }, { value: "b" }, { value: "c" }] });
  await producer.disconnect();
  await using cluster = await ClusterClient.connect(
    { brokers: site.broker.split(","), clientId: "orderflow-test" },
    "persist",
  );
  const { topicId } = await cluster.requireTopic(to, "it was created above");
  const lineAt = (offset: number, value: string) => line({ topic: to, topicId, offset, value });
  const originals = [lineAt(0, "a"), lineAt(1, "b"), lineAt(2, "c")];
  const logs = await replaying.write(originals);
  const first = await replaying.call(logs, { append: true });
  assert.deepEqual([first.ok, first.sent], [true, 3]);

  const copies = [lineAt(3, "a"), lineAt(4, "b"), lineAt(5, "c")];
  await replaying.write([...originals, ...copies]);
  const dry = await replaying.call(logs, { append: true, isDryRun: true });
  assert.deepEqual([dry.would_replay, dry.already_replayed], [0, 3]);
  const second = await replaying.call(logs, { append: true });
  const { ok, sent, selected, repeated, in_topic } = second;
  assert.deepEqual({ ok, sent, selected, repeated, in_topic }, {
    ...{ ok: true, sent: 0, selected: 3, repeated: 3, in_topic: 3 },
  });

  // Offset 6 is the transaction's marker.
  await replaying.write([...originals, ...copies, lineAt(7, "of another program")]);
  assert.equal((await replaying.call(logs, { append: true })).sent, 1);
  assert.equal((await replaying.read()).length, 7);
});

Deno.test("tracker replay goes on with a selection that moves with time, also if timestamps are not in the order of offsets", async () => {
  await using replaying = await createReplaySite();
  const ages = [5, 9, 4, 8, 3];
  const logs = await replaying.write(
    ages.map((age, offset) => line({ offset, timestampMs: NOW_MS - age * 1_000 })),
  );
  const since = (age: number) =>
    ({ isMoving: true, query: { times: { min: NOW_MS - age * 1_000, max: Infinity } } }) as const;
  const first = await replaying.call(logs, since(10));
  assert.deepEqual([first.ok, first.sent], [true, 5]);
  for (const append of [false, true]) {
    const later = await replaying.call(logs, { ...since(6), append });
    assert.deepEqual([later.ok, later.sent, later.already_replayed], [true, 0, 3]);
  }
  assert.equal((await replaying.read()).length, 5);
});

Deno.test("tracker replay --append of a search that is repeated sends what the search has found since, and nothing again", async () => {
  await using replaying = await createReplaySite();
  const searchFile = join(replaying.site.folder, "found.jsonl");
  const found = async (first: number, last: number, append: boolean) => {
    await Deno.writeTextFile(searchFile, `${lines(last + 1, 1).slice(first).join("\n")}\n`);
    return await replaying.call([], { source: { searchFile }, append });
  };
  assert.equal((await found(0, 4, true)).sent, 5);
  const { sent, already_replayed, ok } = await found(2, 6, true);
  assert.deepEqual([sent, already_replayed, ok], [2, 3, true]);
  assert.equal((await found(9, 9, true)).sent, 1);
  await assert.rejects(found(3, 6, false), /is not empty/);
  assert.equal((await replaying.read()).length, 8);
});

Deno.test("tracker replay proves a finished replay again where the target would refuse its records now, and refuses what is left", async () => {
  await using replaying = await createReplaySite();
  const { site, to } = replaying;
  await replaying.create(1);
  const old = { timestampMs: NOW_MS - 7_200_000, value: "x".repeat(2_000) };
  const some = [line({ offset: 0, key: null, ...old }), ...lines(9, 1).slice(1)];
  const logs = await replaying.write(some);
  assert.equal((await replaying.call(logs)).sent, 9);
  const settings = {
    "message.timestamp.before.max.ms": "3600000",
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": "1000",
    "cleanup.policy": "compact",
  };
  await withAdmin(site, (admin) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [{
        type: ConfigResourceTypes.TOPIC,
        name: to,
        configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
      }],
    }));
  await using cluster = await ClusterClient.connect(
    { brokers: site.broker.split(","), clientId: "orderflow-test" },
    "persist",
  );
  await until(
    "the broker has the settings",
    async () => await cluster.topicConfig(to, "cleanup.policy") === "compact",
  );
  const again = await replaying.call(logs);
  assert.deepEqual([again.ok, again.sent, again.already_replayed], [true, 0, 9]);
  await replaying.write([...some, line({ offset: 9, key: null, ...old })]);
  await assert.rejects(
    replaying.call(logs),
    /LogAppendTime\) replaces .*max\.message\.bytes=1000\): 1 record, such as orders\[0\] offset 9,/,
  );
});

Deno.test("tracker replay warns of records that retention.bytes will soon delete, by partition and counting each record once", async () => {
  await using replaying = await createReplaySite();
  await replaying.create(2, { "retention.bytes": "20000" });
  const value = "x".repeat(900);
  const some = [...lines(15, 1, { value }), ...lines(15, 1, { value, partition: 1 })];
  const logs = await replaying.write(some);
  const copy = await replaying.write(some, "copy");
  const isWarned = async (from: string | readonly string[], partitions: "same" | "key") => {
    warnings.length = 0;
    const manner = { partitions, timestamps: "now", mark: false } as const;
    await replaying.call(from, { isDryRun: true, manner });
    return warnings.find((warning) => warning.includes("retention.bytes"));
  };
  assert.equal(await isWarned([logs, copy], "same"), undefined);
  await replaying.write([...some, ...lines(30, 1, { value }).slice(15)]);
  assert.match(
    String(await isWarned(logs, "same")),
    /\(retention\.bytes=20000\): partition 0 gets 2\d\.\d kB, more than it keeps; .* orders\[0\] offset 0, will soon be deleted; raise it$/,
  );
  const one = Array.from({ length: 40 }, (_, offset) => line({ offset, value, key: "one" }));
  await replaying.write(one);
  assert.match(String(await isWarned(logs, "key")), /partition [01] gets 3\d\.\d kB/);
  assert.equal((await replaying.read()).length, 0);
});

Deno.test("tracker replay says which lines it cannot read where it finds no record to replay", async () => {
  await using replaying = await createReplaySite();
  const searchFile = join(replaying.site.folder, "pretty.json");
  await Deno.writeTextFile(searchFile, JSON.stringify(JSON.parse(line({ offset: 0 })), null, 2));
  warnings.length = 0;
  await assert.rejects(replaying.call([], { source: { searchFile } }), /no record is selected/);
  assert.match(warnings.join("\n"), /Cannot read the line at byte 0 of ".*pretty\.json"/);
});

Deno.test("newTargetConfig() has no retention by time or size, whatever the broker's defaults are", () => {
  for (const keepsTimestamps of [true, false]) {
    const config = newTargetConfig({ bytesMax: 1 }, { keepsTimestamps });
    assert.deepEqual([config["retention.ms"], config["retention.bytes"]], ["-1", "-1"]);
  }
});
