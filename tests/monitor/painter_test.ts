import assert from "node:assert/strict";
import { Painter } from "../../lib/monitor/screen/painter.ts";
import { until } from "../site.ts";

/** A painter and the frames that it wrote. */
class Canvas implements Disposable {
  readonly frames: string[] = [];
  readonly painter = new Painter((text) => void this.frames.push(text));
  [Symbol.dispose](): void {
    this.painter.stop();
  }
}

const frameOf = (text: string) => `\u001b[?2026h${text}\u001b[1;1H\u001b[?2026l`;

Deno.test("Painter sends only the changed lines, as one frame, and nothing if no line changed", async () => {
  using canvas = new Canvas();
  canvas.painter.paint(["a", "b"]);
  assert.deepEqual(canvas.frames, [frameOf("\u001b[1;1Ha\u001b[2;1Hb")]);
  canvas.painter.paint(["a", "c"]);
  await until("the second frame is drawn", () => canvas.frames.length === 2, 5_000);
  assert.equal(canvas.frames[1], frameOf("\u001b[2;1Hc"));
  canvas.painter.paint(["a", "c"]);
  canvas.painter.resized();
  canvas.painter.paint(["a", "c"]);
  await until("the whole screen is redrawn", () => canvas.frames.length === 3, 5_000);
  assert.equal(canvas.frames[2], canvas.frames[0]?.replace("b", "c"));
});

Deno.test("Painter draws at most 10 frames a second and always draws the latest state", async () => {
  using canvas = new Canvas();
  const startMs = performance.now();
  for (let count = 0; count < 1_000; count++) canvas.painter.paint([`line ${count}`]);
  assert.equal(canvas.frames.length, 1);
  await until("the latest frame is drawn", () => canvas.frames.length > 1, 5_000);
  assert.ok(performance.now() - startMs >= 99);
  assert.deepEqual(canvas.frames.slice(1), [frameOf("\u001b[1;1Hline 999")]);
});

Deno.test("Painter writes nothing after it is stopped, not even a pending frame", async () => {
  using canvas = new Canvas();
  canvas.painter.paint(["a"]);
  canvas.painter.paint(["b"]);
  canvas.painter.stop();
  canvas.painter.paint(["c"]);
  using other = new Canvas();
  other.painter.paint(["a"]);
  other.painter.paint(["b"]);
  await until(
    "the other painter has drawn its second frame",
    () => other.frames.length === 2,
    5_000,
  );
  assert.equal(canvas.frames.length, 1);
});
