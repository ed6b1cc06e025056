import assert from "node:assert/strict";
import { join } from "node:path";
import { startProgram } from "../../dev/programs.ts";
import { liveBroker, uniqueName } from "../live_broker.ts";
import { createTopics, until, withAdmin } from "../site.ts";
import {
  contents,
  contentsOf,
  createReplaySite,
  line,
  lines,
  NOW_MS,
  type ReplaySite,
  TOPIC_ID,
} from "./replay_site.ts";

await liveBroker();

const TRACKER = join(import.meta.dirname ?? ".", "..", "..", "tracker.ts");
const YEAR_MS = 365 * 86_400_000;

Deno.test("tracker replay restores records byte for byte and in order, proves it, and sends nothing on a second run", async () => {
  await using replaying = await createReplaySite();
  const bytes = new Uint8Array([0xff, 0x00, 0xfe]);
  const all = [
    line({ offset: 5, key: null }),
    line({ offset: 6, value: null }),
    line({ offset: 7, value: "", key: "" }),
    line({ offset: 9, value: bytes, key: bytes }),
    line({
      offset: 10,
      headers: [["a", "1"], ["b", null], ["a", "2"], ["a", bytes], ["", ""], ["9", "x"], [
        "1",
        "y",
      ]],
    }),
    line({ offset: 11, timestampMs: NOW_MS - 20 * YEAR_MS }),
    line({ offset: 12, timestampMs: NOW_MS + YEAR_MS }),
    line({ offset: 13, timestampMs: 0 }),
    line({ offset: 14, timestampMs: -1 }),
    line({ offset: 15, timestampMs: "9007199254740993" }),
    line({ offset: 16, value: "\ufeff\u001b[31m\u2028" }),
    line({ partition: 4, offset: 3 }),
    line({ partition: 4, offset: 8 }),
  ];
  const logs = await replaying.write(all);
  const first = await replaying.replay(["--logs", logs, "--create-topics"]);
  const { replayed, in_topic, missing, duplicated, different, ok } = first;
  assert.deepEqual(
    { replayed, in_topic, missing, duplicated, different, ok },
    { replayed: 13, in_topic: 13, missing: 0, duplicated: 0, different: 0, ok: true },
  );
  assert.deepEqual([first.partitions, first.created, first.sent], [5, true, 13]);
  assert.deepEqual(contents(await replaying.read()), contentsOf(all));

  const second = await replaying.replay(["--logs", logs]);
  assert.deepEqual([second.sent, second.replayed, second.in_topic, second.ok], [0, 13, 13, true]);
  assert.equal((await replaying.read()).length, 13);

  const dry = await replaying.replay(["--logs", logs, "--dry-run"]);
  assert.deepEqual([dry.would_replay, dry.already_replayed, dry.dry_run], [0, 13, true]);
});

Deno.test("tracker replay --timestamps now --mark --partitions key changes only the partition, the mark, and the time", async () => {
  await using replaying = await createReplaySite();
  const all = lines(60, 3, { headers: [["a", "1"]], timestampMs: 1_000 });
  const logs = await replaying.write([...all, line({ partition: 9, offset: 0, key: null })]);
  await replaying.create(4);
  const args = ["--logs", logs, "--timestamps", "now", "--mark", "--partitions", "key"];
  const { replayed, in_topic, ok } = await replaying.replay(args);
  assert.deepEqual([replayed, in_topic, ok], [61, 61, true]);
  const records = await replaying.read();
  const partitionOf = new Map<string | null, number>();
  for (const { partition, key, headers, timestampMs } of records) {
    assert.ok(Number(timestampMs) >= NOW_MS);
    assert.equal(partitionOf.get(key) ?? partition, partition, "each key in one partition");
    partitionOf.set(key, partition);
    const [name, from] = JSON.parse(headers).at(-1);
    assert.equal(name, "orderflow.replayed.from");
    assert.match(atob(from), /^orders\/\d\/\d+$/);
  }
  assert.equal(partitionOf.get(null), 9 % 4);
  assert.equal(new Set(records.map(({ headers }) => headers)).size, 61);
});

Deno.test("tracker replay accepts the selection options of search and the lines that search prints", async () => {
  await using replaying = await createReplaySite();
  const logs = await replaying.write(lines(90));
  const selected = await replaying.replay(
    ["--logs", logs, "--create-topics", "--offset", "1:10-19", "--key", "key 3"],
  );
  assert.deepEqual([selected.replayed, selected.sources], [2, [{
    ...{ topic: "orders", topic_id: TOPIC_ID, partition: 1, records: 2 },
    ...{ first_offset: 10, last_offset: 17 },
  }]]);

  const search = ["search", "--logs", logs, "--partition", "2", "value"];
  const found = await startProgram("tracker", search, { cwd: replaying.site.folder });
  assert.equal(await found.exitCode, 0);
  const args = ["replay", "--broker", replaying.site.broker, "--to", replaying.to, "--json"];
  const fromPipe = async () => {
    const child = new Deno.Command(Deno.execPath(), {
      args: [...["run", "-A", "--no-check", TRACKER], ...args, "--from-search", "-", "--append"],
      ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(found.output.stdout.trimEnd()));
    await writer.close();
    const { code, stdout, stderr } = await child.output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    return JSON.parse(new TextDecoder().decode(stdout));
  };
  const piped = await fromPipe();
  assert.deepEqual([piped.sent, piped.in_topic, piped.ok], [30, 30, true]);
  assert.equal((await fromPipe()).sent, 0);
  assert.equal((await replaying.read()).length, 32);

  const file = join(replaying.site.folder, "found.jsonl");
  await Deno.writeTextFile(file, line({ partition: 2, offset: 100 }));
  const refused = await replaying.run(["--from-search", file]);
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    /is not empty, and its records are not from an earlier run of this replay/,
  );
});

Deno.test("tracker replay continues only its own progress: same selection, same topic, same records", async () => {
  await using replaying = await createReplaySite();
  const logs = await replaying.write(lines(30));
  assert.equal((await replaying.call(logs)).sent, 30);

  // The journal has grown since then.
  const grown = await replaying.write(lines(45));
  const more = await replaying.call(grown);
  assert.deepEqual([more.sent, more.already_replayed, more.in_topic, more.ok], [15, 30, 45, true]);
  assert.deepEqual(contents(await replaying.read()), contentsOf(lines(45)));

  const other = await replaying.write(lines(30, 3, { topicId: "f".repeat(32) }), "other");
  await assert.rejects(
    replaying.call(other),
    /is not empty.*--append adds to it\. Nothing was sent/,
  );
  const query = { partition: 1 };
  await assert.rejects(replaying.call(grown, { query, selection: "1" }), /is not empty/);
  const appended = await replaying.call(grown, { query, selection: "1", append: true });
  assert.deepEqual([appended.sent, appended.in_topic, appended.ok], [15, 15, true]);
  assert.equal((await replaying.call(other, { append: true })).sent, 30);

  // The topic was recreated.
  await replaying.delete();
  await until("the topic is gone", () => isMissing(replaying));
  const anew = await replaying.call(grown);
  assert.deepEqual([anew.sent, anew.in_topic, anew.ok], [45, 45, true]);

  // All records were deleted, so the saved progress is stale.
  await replaying.deleteRecords([0, 1, 2]);
  const again = await replaying.call(grown);
  assert.deepEqual([again.sent, again.in_topic, again.ok], [45, 45, true]);

  // Another selection that begins with the same records is a different replay.
  for (const to of [4, 9]) {
    const selected = { query: { partition: 0, offsets: { from: 0, to } }, selection: `to ${to}` };
    assert.equal((await replaying.call(grown, { ...selected, append: true })).sent, to + 1);
  }
});

Deno.test("tracker replay creates the target with the source's partition count, including empty ones, and keeps old records", async () => {
  await using replaying = await createReplaySite();
  const logs = await replaying.write([line({ partition: 2, offset: 0, timestampMs: 1 })]);
  await Deno.writeTextFile(
    join(logs, "tracker.status"),
    JSON.stringify({
      ...{ timestamp: new Date().toISOString(), state: "stopped", topic: "orders" },
      ...{ partitions: [0, 2, 6].map((partition) => ({ partition })), unassigned: [7] },
    }),
  );
  const dry = await replaying.call(logs, { isDryRun: true });
  assert.deepEqual([dry.partitions, dry.created, dry.would_replay], [8, true, 1]);
  assert.ok(await isMissing(replaying));
  const { partitions, ok } = await replaying.call(logs);
  assert.deepEqual([partitions, ok], [8, true]);
  await withAdmin(replaying.site, async (admin) => {
    const metadata = await admin.fetchTopicMetadata({ topics: [replaying.to] });
    assert.equal(metadata.topics[0]?.partitions.length, 8);
  });
});

Deno.test("tracker replay --map writes old and new offsets as ranges, and --groups moves offsets by them, once", async () => {
  await using replaying = await createReplaySite();
  const { site, to } = replaying;
  const group = uniqueName("moved");
  await withAdmin(site, (admin) => createTopics(admin, [{ topic: site.topic, numPartitions: 3 }]));
  const commit = (topic: string, offsets: Readonly<Record<number, string>>) =>
    withAdmin(site, (admin) =>
      admin.setOffsets({
        ...{ groupId: group, topic },
        partitions: Object.entries(offsets).map(([p, offset]) => ({
          partition: Number(p),
          offset,
        })),
      }));
  const logs = await replaying.write([
    ...lines(30, 3, { topic: site.topic }).filter((_, index) => index >= 6),
    ...[20, 22].map((offset) => line({ topic: site.topic, partition: 1, offset })),
  ]);
  const map = join(site.folder, "map.jsonl");
  const args = ["--logs", logs, "--create-topics", "--map", map, "--groups", group];
  const refused = await replaying.run(args);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /cannot be moved: it has committed nothing in "orders-\w+" of this/);
  assert.throws(() => Deno.statSync(map));
  await commit(site.topic, { 0: "7", 1: "21", 2: "500" });

  const { groups, ok } = await replaying.replay(args);
  assert.equal(ok, true);
  const offsets = [{ partition: 0, offset: 5 }, { partition: 1, offset: 9 }, {
    partition: 2,
    offset: 8,
  }];
  assert.deepEqual(groups, [{ group, moved: true, partitions: offsets }]);
  const committed = () =>
    withAdmin(site, async (admin) => {
      const [answer] = await admin.fetchOffsets({ groupId: group, topics: [to] });
      return answer?.partitions.map(({ offset }) => offset);
    });
  assert.deepEqual(await committed(), ["5", "9", "8"]);
  const ranges = (await Deno.readTextFile(map)).trimEnd().split("\n").map((each) => {
    const { partition, first_offset, last_offset, to_first_offset, to_last_offset } = JSON.parse(
      each,
    );
    return [partition, first_offset, last_offset, to_first_offset, to_last_offset];
  });
  assert.deepEqual(ranges, [
    [0, 2, 9, 0, 7],
    [1, 2, 9, 0, 7],
    [1, 20, 20, 8, 8],
    [1, 22, 22, 9, 9],
    [2, 2, 9, 0, 7],
  ]);

  await commit(to, { 0: "8", 1: "10", 2: "8" });
  const again = await replaying.replay(args);
  assert.deepEqual(again.groups.map(({ moved }) => moved), [false]);
  assert.deepEqual(await committed(), ["8", "10", "8"]);
});

for (
  const [args, code, pattern] of [
    [[], 1, /topic "restored-\w+" does not exist: name an existing topic, or add --create-topics/],
    [["--create-topics", "--key", "none"], 1, /no record is selected: nothing to replay/],
    [["--partition-count", "3"], 2, /--partition-count needs --create-topics/],
    [
      ["--create-topics", "--partition-count", "2"],
      1,
      /there are records of partition 2: it needs 3/,
    ],
    [["--from-search", "nowhere"], 2, /--from-search: cannot read nowhere/],
    [["--partitions", "other"], 2, /Allowed choices are same, key/],
    [["--groups", "a,,b"], 2, /expected names, separated by commas/],
    [["--rate", "0"], 2, /expected max, or a number above 0/],
    [["--create-topics", "--map", "no/folder/map"], 2, /--map: cannot write no\/folder\/map/],
  ] as const
) {
  Deno.test(`tracker replay ${args.join(" ")}: one clear error line and exit code ${code}`, async () => {
    await using replaying = await createReplaySite();
    const logs = await replaying.write(lines(9));
    const ended = await replaying.run(["--logs", logs, ...args]);
    assert.equal(ended.code, code, ended.stderr);
    assert.equal(ended.stdout, "");
    assert.match(ended.stderr, pattern);
    assert.equal(ended.stderr.trimEnd().split("\n").length, 1, ended.stderr);
    assert.ok(await isMissing(replaying));
  });
}

async function isMissing({ site, to }: ReplaySite): Promise<boolean> {
  return !await withAdmin(site, async (admin) => (await admin.listTopics()).includes(to));
}
