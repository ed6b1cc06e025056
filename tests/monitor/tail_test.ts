import assert from "node:assert/strict";
import { join } from "node:path";
import type { LineSink } from "../../lib/monitor/tail/line_sink.ts";
import { Tail, type TailOptions } from "../../lib/monitor/tail/tail.ts";
import { TAIL_FILES, type TailFiles } from "../../lib/monitor/tail/tail_files.ts";

const DECODER = new TextDecoder();
const NAME = "tracker.events";

/** Keeps the delivered lines and discards rewound ones, as a model would. */
class Lines implements LineSink {
  all: string[] = [];
  notWhole: string[] = [];
  #mark = 0;

  begin(): void {
    this.#mark = this.all.length;
  }
  rewind(): void {
    this.all.length = this.#mark;
  }
  line(bytes: Uint8Array, start: number, end: number, whole: boolean): void {
    (whole ? this.all : this.notWhole).push(DECODER.decode(bytes.subarray(start, end)));
  }
  settle(): void {}
}

/** A folder, a tail that follows it, and the delivered lines. */
class TailFixture implements Disposable {
  readonly folder = Deno.makeTempDirSync({ prefix: "orderflow-tail-" });
  readonly live = join(this.folder, NAME);
  readonly lines = new Lines();
  readonly tail: Tail;
  #lineCount = 0;
  #segmentCount = 0;

  constructor(options: Partial<TailOptions> = {}) {
    this.tail = new Tail({ folder: this.folder, name: NAME, segments: "ascending", ...options });
  }

  /** Returns a unique line, long enough to identify its file. */
  nextLine(length = 200): string {
    const number = this.#lineCount++;
    const start = `{"timestamp":"${String(number).padStart(8, "0")}","x":"`;
    return start.padEnd(length, `${number}-`);
  }

  write(text: string): void {
    Deno.writeTextFileSync(this.live, text, { append: true });
  }

  writeLines(count: number): string[] {
    const lines = Array.from({ length: count }, () => this.nextLine());
    this.write(lines.map((line) => `${line}\n`).join(""));
    return lines;
  }

  segment(): string {
    return join(this.folder, `${NAME}.${String(++this.#segmentCount).padStart(6, "0")}`);
  }

  rotate(): void {
    Deno.renameSync(this.live, this.segment());
    this.write("");
  }

  copyTruncate(): void {
    Deno.copyFileSync(this.live, this.segment());
    Deno.truncateSync(this.live, 0);
  }

  async read(): Promise<string[]> {
    await this.tail.catchUp(this.lines);
    return this.lines.all;
  }

  [Symbol.dispose](): void {
    this.tail[Symbol.dispose]();
    Deno.removeSync(this.folder, { recursive: true });
  }
}

Deno.test("Tail delivers closed segments in the order of their numbers, then the live file", async () => {
  using fixture = new TailFixture();
  const lines: string[] = [];
  for (let segment = 0; segment < 12; segment++) {
    lines.push(...fixture.writeLines(3));
    fixture.rotate();
  }
  lines.push(...fixture.writeLines(2));
  assert.deepEqual(await fixture.read(), lines);
  assert.deepEqual(await fixture.read(), lines);
});

Deno.test("Tail holds bytes until their newline arrives", async () => {
  using fixture = new TailFixture();
  fixture.write("fir");
  assert.deepEqual(await fixture.read(), []);
  fixture.write("st\nsec");
  assert.deepEqual(await fixture.read(), ["first"]);
  assert.equal(fixture.tail.status().heldBytes, 3);
  fixture.write("ond\n");
  assert.deepEqual(await fixture.read(), ["first", "second"]);
  assert.equal(fixture.tail.status().heldBytes, 0);
});

Deno.test("Tail decodes a character that is written in two halves", async () => {
  using fixture = new TailFixture();
  const bytes = new TextEncoder().encode("Zoë\n");
  Deno.writeFileSync(fixture.live, bytes.subarray(0, 3), { append: true });
  await fixture.read();
  Deno.writeFileSync(fixture.live, bytes.subarray(3), { append: true });
  assert.deepEqual(await fixture.read(), ["Zoë"]);
});

Deno.test("Tail delivers lines of 1 MB and 10 MB whole and releases their memory", async () => {
  using fixture = new TailFixture();
  const [before] = fixture.writeLines(1);
  const long = fixture.nextLine(1_000_000);
  const longer = fixture.nextLine(10_000_000);
  fixture.write(`${long}\n${longer}\n`);
  const [after] = fixture.writeLines(1);
  const lines = await fixture.read();
  assert.equal(lines.length, 4);
  assert.ok(lines[0] === before && lines[1] === long && lines[2] === longer && lines[3] === after);
});

Deno.test("Tail delivers the beginning of an oversized line, marked as partial, and then the next line", async () => {
  using fixture = new TailFixture({ chunkBytes: 1024, lineBytesMax: 4096 });
  fixture.write(`${"a".repeat(50_000)}\n`);
  const lines = fixture.writeLines(1);
  assert.deepEqual(await fixture.read(), lines);
  assert.equal(fixture.lines.notWhole.length, 1);
  assert.match(fixture.lines.notWhole[0] ?? "", /^a{4096,}$/);
});

Deno.test("Tail waits for a folder and a file that do not exist yet", async () => {
  using fixture = new TailFixture();
  Deno.removeSync(fixture.folder, { recursive: true });
  assert.deepEqual(await fixture.read(), []);
  Deno.mkdirSync(fixture.folder);
  assert.deepEqual(await fixture.read(), []);
  assert.deepEqual(fixture.writeLines(2), await fixture.read());
});

Deno.test("Tail continues with a new file after the old one disappeared", async () => {
  using fixture = new TailFixture();
  const lines = fixture.writeLines(3);
  await fixture.read();
  Deno.removeSync(fixture.live);
  assert.deepEqual(await fixture.read(), lines);
  lines.push(...fixture.writeLines(2));
  assert.deepEqual(await fixture.read(), lines);
});

Deno.test("Tail does not reread a file replaced by an identical copy, and reads the copy's additional lines", async () => {
  using fixture = new TailFixture();
  const lines = fixture.writeLines(3);
  await fixture.read();
  Deno.copyFileSync(fixture.live, join(fixture.folder, "copy"));
  Deno.renameSync(join(fixture.folder, "copy"), fixture.live);
  lines.push(...fixture.writeLines(1));
  assert.deepEqual(await fixture.read(), lines);
});

Deno.test("Tail drains the renamed file before it opens the new one", async () => {
  using fixture = new TailFixture();
  const lines = fixture.writeLines(1);
  await fixture.read();
  lines.push(...fixture.writeLines(5));
  fixture.rotate();
  lines.push(...fixture.writeLines(5));
  assert.deepEqual(await fixture.read(), lines);
  assert.equal(fixture.tail.status().rotationCount, 1);
});

Deno.test("Tail drains a file that is written and replaced between its last read and the check of its name", async () => {
  let act = () => {};
  const files: TailFiles = {
    ...TAIL_FILES,
    stat(path) {
      act();
      return TAIL_FILES.stat(path);
    },
  };
  using fixture = new TailFixture({ files });
  const lines = fixture.writeLines(3);
  await fixture.read();
  act = () => {
    act = () => {};
    lines.push(...fixture.writeLines(2));
    // No closed segment has these lines, only the open file.
    Deno.removeSync(fixture.live);
    lines.push(...fixture.writeLines(2));
  };
  assert.deepEqual(await fixture.read(), lines);
});

Deno.test("Tail reads segments that were created and closed between two polls", async () => {
  using fixture = new TailFixture();
  const lines = fixture.writeLines(1);
  await fixture.read();
  for (let rotation = 0; rotation < 3; rotation++) {
    lines.push(...fixture.writeLines(2));
    fixture.rotate();
  }
  assert.deepEqual(await fixture.read(), lines);
});

Deno.test("Tail reads the rest of a copy that was made before a truncation", async () => {
  using fixture = new TailFixture();
  const lines = fixture.writeLines(2);
  await fixture.read();
  lines.push(...fixture.writeLines(2));
  fixture.copyTruncate();
  lines.push(...fixture.writeLines(1));
  assert.deepEqual(await fixture.read(), lines);
  assert.equal(fixture.tail.status().truncationCount, 1);
});

Deno.test("Tail counts a copy once if it starts between the copy and the truncation", async () => {
  using fixture = new TailFixture();
  const lines = fixture.writeLines(3);
  Deno.copyFileSync(fixture.live, fixture.segment());
  lines.push(...fixture.writeLines(1));
  assert.deepEqual(await fixture.read(), lines);
});

Deno.test("Tail keeps its counts when a file is truncated, even if the file has grown past its old size", async () => {
  using fixture = new TailFixture();
  const lines = fixture.writeLines(3);
  await fixture.read();
  Deno.truncateSync(fixture.live, 0);
  lines.push(...fixture.writeLines(9));
  assert.deepEqual(await fixture.read(), lines);
});

Deno.test("Tail takes back lines that the writer cut off, even if the file has grown past them", async () => {
  using fixture = new TailFixture();
  const older = fixture.writeLines(2);
  fixture.rotate();
  const kept = fixture.writeLines(2);
  fixture.writeLines(2);
  assert.equal((await fixture.read()).length, 6);
  Deno.truncateSync(fixture.live, 2 * 201);
  assert.deepEqual(await fixture.read(), [...older, ...kept]);
  fixture.writeLines(3);
  await fixture.read();
  Deno.truncateSync(fixture.live, 2 * 201);
  const again = fixture.writeLines(5);
  assert.deepEqual(await fixture.read(), [...older, ...kept, ...again]);
  assert.equal(fixture.tail.status().cutCount, 2);
});

Deno.test("Tail waits while too few bytes are left to tell a cut from a new file, and continues when it can", async () => {
  using fixture = new TailFixture();
  const lines = fixture.writeLines(3);
  await fixture.read();
  Deno.truncateSync(fixture.live, 20);
  assert.deepEqual(await fixture.read(), lines);
  const next = fixture.nextLine();
  Deno.truncateSync(fixture.live, 0);
  fixture.write(next.slice(0, 15));
  assert.deepEqual(await fixture.read(), lines);
  fixture.write(`${next.slice(15)}\n`);
  lines.push(next);
  assert.deepEqual(await fixture.read(), lines);

  Deno.truncateSync(fixture.live, 20);
  await fixture.read();
  Deno.removeSync(fixture.live);
  await fixture.read();
  lines.push(...fixture.writeLines(1));
  assert.deepEqual(await fixture.read(), lines);
});

Deno.test("Tail delivers the unterminated end of a closed file as partial", async () => {
  using fixture = new TailFixture();
  const lines = fixture.writeLines(1);
  fixture.write("torn");
  await fixture.read();
  fixture.rotate();
  lines.push(...fixture.writeLines(1));
  assert.deepEqual(await fixture.read(), lines);
  assert.deepEqual(fixture.lines.notWhole, ["torn"]);
});

Deno.test("Tail reads a log whose rotated files are renumbered", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "orderflow-tail-" });
  const path = (number: number) => join(folder, number === 0 ? "t.log" : `t.log.${number}`);
  using tail = new Tail({ folder, name: "t.log", segments: "modified" });
  const lines = new Lines();
  const written: string[] = [];
  try {
    for (let round = 0; round < 8; round++) {
      for (let line = 0; line < 3; line++) {
        const text = `line ${round}.${line}`;
        written.push(text);
        Deno.writeTextFileSync(path(0), `${text}\n`, { append: true });
      }
      if (round % 3 === 1) await tail.catchUp(lines);
      for (let number = 8; number >= 0; number--) {
        try {
          Deno.renameSync(path(number), path(number + 1));
        } catch (error) {
          if (!(error instanceof Deno.errors.NotFound)) throw error;
        }
      }
    }
    Deno.writeTextFileSync(path(0), "");
    await tail.catchUp(lines);
    assert.deepEqual(lines.all, written);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("Tail reports how far behind it is, and returns when aborted", async () => {
  using fixture = new TailFixture({ chunkBytes: 1000 });
  fixture.writeLines(10);
  fixture.rotate();
  fixture.writeLines(10);
  assert.equal(fixture.tail.status().behindBytes, 20 * 201);
  const stop = new AbortController();
  const stopping: LineSink = {
    begin() {},
    rewind() {},
    settle: () => stop.abort(),
    line() {},
  };
  await fixture.tail.catchUp(stopping, stop.signal);
  assert.equal(fixture.tail.status().behindBytes, 20 * 201 - 1000);
  await fixture.read();
  assert.equal(fixture.tail.status().behindBytes, 0);
});

/**
 * Goal: for any sequence of writer actions, each line that remains in the end is delivered once and in order.
 * Method: a random writer acts between any two file system calls of the tail, not only between two
 * catch-ups. A truncation or a removal loses unread lines, so these wait for a catch-up; a rotation, a
 * copy with truncation, an append in pieces, and a cut do not.
 * Invariant: delivered = expected after each catch-up without interference.
 */
Deno.test("Tail delivers exactly the remaining lines for any writer actions between its file system calls", async () => {
  const seed = Number(Deno.env.get("ORDERFLOW_SEED") ?? Date.now() % 1_000_000);
  for (let run = 0; run < 60; run++) {
    await runAgainstModel(seed + run);
  }
});

async function runAgainstModel(seed: number): Promise<void> {
  const random = randomFrom(seed);
  const pick = (count: number) => Math.floor(random() * count);
  let act = () => {};
  let acting = false;
  const between = () => {
    if (acting || random() > 0.15) return;
    acting = true;
    act();
    acting = false;
  };
  const files: TailFiles = {
    list: (folder) => (between(), TAIL_FILES.list(folder)),
    stat: (path) => (between(), TAIL_FILES.stat(path)),
    obstacle: (path) => (between(), TAIL_FILES.obstacle(path)),
    open(path) {
      between();
      const file = TAIL_FILES.open(path);
      return file && {
        identity: file.identity,
        size: () => (between(), file.size()),
        read: (into, position) => (between(), file.read(into, position)),
        peek: (byteCount, position) => (between(), file.peek(byteCount, position)),
        close: () => file.close(),
      };
    },
  };

  using fixture = new TailFixture({ files, chunkBytes: 300 + pick(3000) });
  const expected: string[] = [];
  /** Lines of the live file and their end positions in it. */
  let inLive: { line: string; end: number }[] = [];
  let liveSize = 0;
  let pending = "";
  let budget = 40;
  let isCut = false;
  const log: string[] = [];

  const append = (text: string) => {
    fixture.write(text);
    liveSize += text.length;
  };
  const finishLine = () => {
    if (pending !== "") append(pending);
    pending = "";
  };
  const appendLine = () => {
    finishLine();
    const line = fixture.nextLine(170 + pick(1500));
    const text = `${line}\n`;
    expected.push(line);
    inLive.push({ line, end: liveSize + text.length });
    const split = random() < 0.4 ? 1 + pick(text.length - 1) : text.length;
    append(text.slice(0, split));
    pending = text.slice(split);
  };
  const startNew = () => {
    inLive = [];
    liveSize = 0;
  };
  const actions: Record<string, () => void> = {
    append: appendLine,
    appendMore: () => [1, 2, 3].forEach(appendLine),
    rotate: () => (finishLine(), fixture.rotate(), startNew()),
    renameOnly: () => {
      finishLine();
      Deno.renameSync(fixture.live, fixture.segment());
      startNew();
      appendLine();
    },
    // After a cut and a copy-truncate in quick succession, nothing on disk shows the cut.
    copyTruncate: () => (isCut ? undefined : (finishLine(), fixture.copyTruncate(), startNew())),
    cut: () => {
      finishLine();
      if (inLive.length < 3) return;
      const keep = 1 + pick(inLive.length - 1);
      expected.splice(expected.length - (inLive.length - keep));
      inLive.length = keep;
      liveSize = inLive.at(-1)?.end ?? 0;
      Deno.truncateSync(fixture.live, liveSize);
      isCut = true;
    },
  };
  const weighted = ["append", "append", "appendMore", "appendMore", ...Object.keys(actions)];
  act = () => {
    if (budget-- <= 0) return;
    const name = weighted[pick(weighted.length)] ?? "append";
    log.push(name);
    actions[name]?.();
  };

  const settle = async () => {
    acting = true;
    finishLine();
    await fixture.read();
    acting = false;
    isCut = false;
    assert.deepEqual(
      fixture.lines.all.map((line) => line.slice(14, 22)),
      expected.map((line) => line.slice(14, 22)),
      `seed ${seed}, after: ${log.join(" ")}`,
    );
    assert.deepEqual(fixture.lines.all, expected);
    assert.deepEqual(fixture.lines.notWhole, [], `seed ${seed}, after: ${log.join(" ")}`);
  };

  appendLine();
  for (let round = 0; round < 12; round++) {
    budget = 5;
    act();
    await fixture.read();
    if (random() < 0.5) await settle();
    const accident = random();
    if (accident < 0.15) {
      await settle();
      log.push("truncate");
      Deno.truncateSync(fixture.live, 0);
      startNew();
    } else if (accident < 0.3) {
      await settle();
      log.push("remove");
      Deno.removeSync(fixture.live);
      startNew();
      appendLine();
    }
  }
  await settle();
}

/** Returns a small seeded generator (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296;
  };
}
