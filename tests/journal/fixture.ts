/** Shared by the journal's tests: a temporary folder, lines, and an independent reader of journals. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { decodeEvent } from "../../lib/journal/line.ts";
import type { Clock } from "../../lib/journal/clock.ts";
import type { Interval, JournalPartition } from "../../lib/journal/intervals.ts";
import type { JournalAppend } from "../../lib/journal/append_queue.ts";
import type { Journal } from "../../lib/journal/journal.ts";
import { type JournalOptions, openJournal } from "../../lib/journal/open_journal.ts";
import type { JournalNotice } from "../../lib/journal/notice.ts";
import { denoStorage, type Storage, type StoredFile } from "../../lib/journal/storage.ts";

export const TOPIC_ID = "pnqVbVLAQ_q3xkYQzHqbVg";

export function partition(number: number): JournalPartition {
  return { topic: "orders", topicId: TOPIC_ID, partition: number };
}

const ENCODER = new TextEncoder();

export function lineOf(
  { topic, topicId, partition }: JournalPartition,
  offset: number,
  text = "value",
): string {
  return JSON.stringify({
    timestamp: "2025-09-01T00:00:00.000Z",
    event_type: "message.received",
    kafka_topic: topic,
    kafka_partition: partition,
    kafka_offset: offset,
    raw_message: `${text} ${offset}`,
    message_size: text.length,
    deserialized: false,
    kafka_timestamp: 1756684800000,
    ...(topicId !== "" && { kafka_topic_id: topicId }),
  }) + "\n";
}

/** Encodes lines, including newlines, as an append needs them. */
export function encodedLines(lines: readonly string[]): Pick<JournalAppend, "lines" | "lineEnds"> {
  let end = 0;
  const lineEnds = lines.map((line) => end += ENCODER.encode(line).length);
  return { lines: ENCODER.encode(lines.join("")), lineEnds };
}

export function appendOf(number: number, { start, end }: Interval, text?: string): JournalAppend {
  const offsets = Array.from({ length: end - start }, (_, index) => start + index);
  const lines = offsets.map((offset) => lineOf(partition(number), offset, text));
  return { ...partition(number), intervals: [{ start, end }], epochs: [], ...encodedLines(lines) };
}

export class TestFolder implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "journal-test-" });

  file(name: string): string {
    return join(this.path, name);
  }

  get active(): string {
    return this.file("tracker.events");
  }

  get checkpoint(): string {
    return this.file("tracker.checkpoint");
  }

  names(start: string): string[] {
    return Array.from(Deno.readDirSync(this.path), ({ name }) => name)
      .filter((name) => name.startsWith(start)).sort();
  }

  copyFrom(other: TestFolder): void {
    for (const name of this.names("")) Deno.removeSync(this.file(name));
    for (const name of other.names("")) Deno.copyFileSync(other.file(name), this.file(name));
  }

  [Symbol.dispose](): void {
    try {
      Deno.removeSync(this.path, { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** A journal that is closed at the end of the test, with all its notices. */
export interface OpenedJournal extends AsyncDisposable {
  readonly journal: Journal;
  readonly notices: JournalNotice[];
  noticesOf<K extends JournalNotice["kind"]>(kind: K): Extract<JournalNotice, { kind: K }>[];
}

export async function opened(
  folder: { readonly path: string },
  options: Omit<Partial<JournalOptions>, "directory" | "onNotice"> = {},
): Promise<OpenedJournal> {
  const notices: JournalNotice[] = [];
  const journal = await openJournal({
    directory: folder.path,
    onNotice: (notice) => notices.push(notice),
    ...options,
  });
  return {
    journal,
    notices,
    noticesOf: <K extends JournalNotice["kind"]>(kind: K) =>
      notices.filter((notice): notice is Extract<JournalNotice, { kind: K }> =>
        notice.kind === kind
      ),
    [Symbol.asyncDispose]: () => journal.close(),
  };
}

export interface FoundRecords {
  /** `partition:offset` in the order of the files; all of topic `orders`. */
  readonly records: string[];
  readonly badLineCount: number;
}

/** Reads a journal's text without the journal's own code, except for the line decoder. */
export function recordsIn(texts: readonly string[]): FoundRecords {
  const records: string[] = [];
  let badLineCount = 0;
  for (const text of texts) {
    const lines = text.split("\n");
    if (lines.pop() !== "") badLineCount++;
    for (const line of lines) {
      try {
        const { partition, offset } = decodeEvent(line);
        records.push(`${partition}:${offset}`);
      } catch {
        badLineCount++;
      }
    }
  }
  return { records, badLineCount };
}

export function recordsInFolder(folder: TestFolder): FoundRecords {
  const closed = folder.names("tracker.events.").map((name) => folder.file(name));
  return recordsIn([...closed, folder.active].map((path) => Deno.readTextFileSync(path)));
}

export function namesOf(number: number, { start, end }: Interval): string[] {
  return Array.from({ length: end - start }, (_, index) => `${number}:${start + index}`);
}

/** Returns the held offsets of some partitions, named as by `recordsIn`. */
export function heldNames(journal: Journal, partitionCount: number): string[] {
  return Array.from({ length: partitionCount }, (_, number) => number).flatMap((number) =>
    journal.heldIntervals(partition(number)).flatMap((interval) => namesOf(number, interval))
  );
}

/** Returns a clock that sleeps without waiting, and records the requested delays. */
export function fastClock(delaysMs: number[] = []): Clock {
  return {
    now: () => performance.now(),
    date: () => new Date(),
    sleep: (delayMs, signal) => {
      delaysMs.push(delayMs);
      return new Promise((resolve) => {
        // The closing timeout is seconds long and must not expire at once.
        if (delayMs > 5_000) signal.addEventListener("abort", () => resolve());
        else setTimeout(resolve, 0);
      });
    },
  };
}

/** The real disk, with hooks for each write and sync of the journal's files. */
export class FaultyStorage implements Storage {
  syncCount = 0;
  openCount = 0;
  /** May throw; returns how many of the bytes to write. */
  onWrite: (bytes: Uint8Array) => number = (bytes) => bytes.length;
  /** May throw. Called with a number that identifies the opened file. */
  onSync: (descriptor: number) => void = () => {};
  /** Awaited before each sync, to simulate a slow disk. */
  beforeSync: () => Promise<void> = () => Promise.resolve();
  #opened = 0;

  async open(...args: Parameters<Storage["open"]>): Promise<StoredFile> {
    const file = await denoStorage.open(...args);
    this.openCount++;
    const { close } = file;
    file.close = () => {
      this.openCount--;
      close.call(file);
    };
    const isJournal = args[1] === "append" || args[1] === "create";
    return isJournal ? this.#watched(file, ++this.#opened) : file;
  }

  #watched(file: StoredFile, descriptor: number): StoredFile {
    return {
      read: (into) => file.read(into),
      write: async (bytes) => {
        const count = this.onWrite(bytes);
        return await file.write(bytes.subarray(0, count));
      },
      seek: (position) => file.seek(position),
      truncate: (bytes) => file.truncate(bytes),
      syncData: async () => {
        this.syncCount++;
        this.onSync(descriptor);
        await this.beforeSync();
        await file.syncData();
      },
      stat: () => file.stat(),
      tryLock: () => file.tryLock(),
      close: () => file.close(),
    };
  }

  stat = denoStorage.stat;
  rename = denoStorage.rename;
  remove = denoStorage.remove;
  list = denoStorage.list;
  createDirectory = denoStorage.createDirectory;
  syncDirectory = denoStorage.syncDirectory;
}

export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `waited 10 s for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

export function diskFull(): Error {
  return Object.assign(new Error("No space left on device (os error 28)"), { code: "ENOSPC" });
}

/** Returns a mulberry32 generator: small, fast, and the same on every platform. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function newSeed(): number {
  const given = Deno.env.get("SEED");
  return given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given);
}
