import assert from "node:assert/strict";
import { JournalModel } from "../../lib/monitor/model/journal_model.ts";
import { LineRuns } from "../../lib/monitor/model/line_runs.ts";

Deno.test("LineRuns.truncate() counts and forgets the lines from an offset on", () => {
  const runs = new LineRuns();
  for (const offset of [0, 1, 2, 5, 6, 9]) runs.add(offset);
  const before = runs.copy();
  assert.equal(runs.truncate(6), 2);
  assert.equal(runs.isNext(6), true);
  assert.equal(runs.truncate(6), 0);
  assert.equal(runs.truncate(1), 3);
  assert.equal(runs.truncate(0), 1);
  assert.equal(before.truncate(0), 6, "the copy is independent");
});

function lineOf(offset: number, rest: object): string {
  return JSON.stringify({
    ...{ timestamp: "2026-11-27T00:00:00Z", event_type: "message.received" },
    ...{ kafka_topic: "orders", kafka_partition: 0, kafka_offset: offset },
    ...{ raw_message: "x", message_size: 1, deserialized: false, kafka_timestamp: 0 },
    ...{ kafka_topic_id: "aa", ...rest },
  });
}

Deno.test("the monitor counts lines superseded by a log truncation, but not repeated or earlier ones", () => {
  const model = new JournalModel();
  const encoder = new TextEncoder();
  const add = (offset: number, rest: object) => {
    const bytes = encoder.encode(lineOf(offset, rest));
    model.line(bytes, 0, bytes.length, true);
  };
  for (let offset = 10; offset < 20; offset++) add(offset, { kafka_leader_epoch: 1 });
  for (let offset = 0; offset < 3; offset++) add(offset, { kafka_leader_epoch: 1 });
  assert.equal(model.supersededCount, 0, "after an offset reset, the group reads earlier records");
  add(15, {
    kafka_leader_epoch: 3,
    mark: "partition 0 was truncated at offset 14: its records of leader epoch 1 were replaced",
  });
  add(16, { kafka_leader_epoch: 3 });
  assert.equal(model.supersededCount, 5);
  assert.equal(model.totals.received, 15, "superseded lines remain in the totals");
});
