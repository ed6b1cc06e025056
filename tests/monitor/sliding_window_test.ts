import assert from "node:assert/strict";
import { SlidingWindow } from "../../lib/monitor/model/sliding_window.ts";

const NOW_MS = 1_800_000_000_000;
const MINUTE = { nowMs: NOW_MS, windowMs: 60_000 };

function windowWith(events: readonly { ageMs: number; failed?: boolean }[]): SlidingWindow {
  const window = new SlidingWindow(600);
  for (const { ageMs, failed = false } of events) window.add(NOW_MS - ageMs, failed);
  return window;
}

Deno.test("SlidingWindow.counts() excludes events older than the window or too far in the future for clock skew", () => {
  const window = windowWith([
    { ageMs: 0 },
    { ageMs: 59_000, failed: true },
    { ageMs: 60_000 },
    { ageMs: -30_000 },
    { ageMs: -61_000 },
  ]);
  assert.deepEqual(window.counts(MINUTE), { received: 3, failed: 1 });
});

Deno.test("SlidingWindow agrees with a plain list over random events and times", () => {
  const events: { atMs: number; failed: boolean }[] = [];
  const window = new SlidingWindow(600);
  let nowMs = NOW_MS;
  for (let step = 0; step < 20_000; step++) {
    nowMs += Math.floor(Math.random() * 300);
    const event = {
      atMs: nowMs - Math.floor(Math.random() * 3000),
      failed: Math.random() < 0.1,
    };
    events.push(event);
    window.add(event.atMs, event.failed);
    if (step % 500 !== 0) continue;
    const endSecond = Math.floor(nowMs / 1000);
    const inWindow = events.filter(({ atMs }) => Math.floor(atMs / 1000) > endSecond - 300);
    assert.deepEqual(window.counts({ nowMs, windowMs: 300_000 }), {
      received: inWindow.length,
      failed: inWindow.filter(({ failed }) => failed).length,
    });
  }
});

Deno.test("SlidingWindow.rate() of one event every 2 s is 0.5 at any time between them", () => {
  const window = new SlidingWindow(600);
  for (let ageMs = 120_000; ageMs >= 0; ageMs -= 2000) window.add(NOW_MS - ageMs, false);
  for (let laterMs = 0; laterMs <= 2000; laterMs += 100) {
    assert.equal(window.rate({ nowMs: NOW_MS + laterMs, windowMs: 60_000 }), 0.5);
  }
});

Deno.test("SlidingWindow.rate() averages over the time since the first event, and falls when events stop", () => {
  const window = new SlidingWindow(600);
  for (let count = 0; count < 200; count++) window.add(NOW_MS - 4000 + count * 20, false);
  assert.equal(Math.round(window.rate(MINUTE)), 50);
  const later = (ms: number) => window.rate({ nowMs: NOW_MS + ms, windowMs: 60_000 });
  assert.equal(later(6_000), 20);
  assert.equal(later(36_000), 5);
  assert.equal(later(64_000), 0);
});

Deno.test("SlidingWindow.rate() stays bounded for two events a millisecond apart", () => {
  assert.equal(windowWith([{ ageMs: 1 }, { ageMs: 0 }]).rate(MINUTE), 2);
});

Deno.test("SlidingWindow.series() lists steps oldest first, with every event in one step once its second is over", () => {
  const window = windowWith([{ ageMs: 0 }, { ageMs: 5000 }, { ageMs: 6000 }, { ageMs: 299_000 }]);
  const begun = window.series({ nowMs: NOW_MS, windowMs: 300_000 }, 50);
  assert.equal(begun.reduce((sum, { received }) => sum + received, 0), 3);
  const series = window.series({ nowMs: NOW_MS + 1000, windowMs: 300_000 }, 50);
  assert.equal(series.length, 50);
  assert.deepEqual(series.at(-1), { received: 2, failed: 0 });
  assert.deepEqual(series.at(-2), { received: 1, failed: 0 });
  assert.deepEqual(series.at(0), { received: 1, failed: 0 });
});
