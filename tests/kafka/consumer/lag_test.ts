import assert from "node:assert/strict";
import { ENDS_VALID_MS, LagTracker } from "../../../lib/kafka/consumer/lag.ts";

const ENDS = { highWatermark: 30, lastStableOffset: 30 };

Deno.test("LagTracker: lag is the high watermark minus the committed offset", () => {
  const lag = new LagTracker();
  lag.assign(new Map([[0, 10]]));
  lag.noteEnds(0, ENDS, 0);
  assert.equal(lag.at(0)[0]?.lag, 20);
  lag.noteCommitted(0, 30);
  assert.equal(lag.at(0)[0]?.lag, 0);
  lag.noteCommitted(0, 31);
  assert.equal(lag.at(0)[0]?.lag, 0, "a commit may be newer than the known end");
});

Deno.test("LagTracker: lag is unknown without a commit, without an end, or if the end is too old", () => {
  const lag = new LagTracker();
  lag.assign(new Map([[0, undefined], [1, 10]]));
  assert.deepEqual(lag.at(0).map((each) => each.lag), [undefined, undefined]);
  lag.noteEnds(0, ENDS, 0);
  lag.noteEnds(1, ENDS, 0);
  assert.deepEqual(lag.at(0).map((each) => each.lag), [undefined, 20]);
  assert.deepEqual(lag.at(ENDS_VALID_MS - 1).map((each) => each.lag), [undefined, 20]);
  assert.deepEqual(lag.at(ENDS_VALID_MS).map((each) => each.lag), [undefined, undefined]);
  lag.noteEnds(1, ENDS, ENDS_VALID_MS);
  lag.forgetEnds();
  assert.equal(lag.at(ENDS_VALID_MS)[1]?.lag, undefined);
});

Deno.test("LagTracker: only partitions of the last assignment are tracked", () => {
  const lag = new LagTracker();
  lag.assign(new Map([[2, 0], [0, 0]]));
  lag.noteEnds(0, ENDS, 0);
  lag.noteEnds(1, ENDS, 0);
  assert.deepEqual(lag.at(0).map(({ partition }) => partition), [0, 2]);
  assert.deepEqual(lag.unheard(1_000, 500), [2]);
  assert.deepEqual(lag.unheard(1_000, 1_000), [2, 0]);
  lag.assign(new Map([[0, 0]]));
  assert.equal(lag.at(0)[0]?.lag, undefined, "another member may have had it meanwhile");
});

Deno.test("LagTracker: a transaction that stays open is reported, with its first offset", () => {
  const lag = new LagTracker();
  const open = (lastStableOffset: number, highWatermark: number, nowMs: number) => {
    lag.noteEnds(0, { lastStableOffset, highWatermark }, nowMs);
    return lag.at(nowMs)[0]?.openTransaction;
  };
  lag.assign(new Map([[0, 5]]));
  assert.equal(open(5, 5, 0), undefined);
  assert.equal(open(5, 9, 1_000), undefined, "it may end soon");
  assert.equal(open(5, 9, 2_900), undefined);
  assert.deepEqual(open(5, 12, 3_000), { firstOffset: 5, recordCount: 7, openMs: 2_000 });
  assert.equal(open(10, 12, 4_000), undefined, "another transaction");
  assert.deepEqual(open(10, 12, 6_000), { firstOffset: 10, recordCount: 2, openMs: 2_000 });
  assert.equal(open(12, 12, 7_000), undefined);
  assert.equal(open(12, 14, 8_000), undefined);
});
