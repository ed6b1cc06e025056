import assert from "node:assert/strict";
import { Follower } from "../../lib/monitor/follow.ts";
import { logLine } from "./journal_lines.ts";
import { Logs } from "./logs.ts";

Deno.test("Follower shows the latest records at once, reports that it is counting, and ends with exact totals", async () => {
  using logs = new Logs();
  logs.orders(3_000, 600_000);
  logs.rotate();
  logs.orders(3_000);
  logs.log(logLine({
    atMs: Date.now(),
    message: "Metrics",
    metadata: { messages_received: 6_000, lag: { "0": 7 } },
  }));
  using follower = new Follower(logs.path);

  const counting = follower.catchUp();
  const first = follower.snapshot();
  assert.equal(first.health.status, "counting");
  assert.match(first.health.reasons[0] ?? "", /being counted, \d\.\d MB to go/);
  assert.equal(first.totals.received, 0);
  assert.equal(first.recentEvents.at(-1)?.offset, 5_999);
  assert.equal(first.recentFailed.at(-1)?.offset, 5_999);
  assert.ok(first.takenAtMs - (first.newestEventMs ?? 0) < 60_000);

  await counting;
  const last = follower.snapshot();
  assert.equal(last.health.status, "healthy");
  assert.equal(last.totals.received, 6_000);
  assert.equal(last.totals.failed, 120);
  assert.equal(last.recentEvents.at(-1)?.offset, 5_999);
  assert.equal(last.lag, 7);
});

Deno.test("Follower reports counting, not stale, when it falls far behind later", async () => {
  using logs = new Logs();
  logs.orders(10, 120_000);
  using follower = new Follower(logs.path);
  await follower.catchUp();
  assert.equal(follower.snapshot().health.status, "stale");
  logs.orders(2_000);
  assert.equal(follower.snapshot().health.status, "counting");
  await follower.catchUp();
  assert.equal(follower.snapshot().health.status, "healthy");
});

Deno.test("Follower shows no latest record if the journal's last line is incomplete", async () => {
  using logs = new Logs();
  logs.journal("x".repeat(1_500_000));
  using follower = new Follower(logs.path);
  const counting = follower.catchUp();
  assert.deepEqual(follower.snapshot().recentEvents, []);
  await counting;
  assert.equal(follower.snapshot().files.journal?.heldBytes, 1_500_000);
});
