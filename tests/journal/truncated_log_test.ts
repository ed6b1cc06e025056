/**
 * Goal: a log that loses its end and is rewritten is journaled again from there, whatever fails and whenever the
 * process or the machine dies, with and without a checkpoint.
 *
 * Method: as in `power_loss_test.ts`, with logs instead of counters. Between batches a log gets a new leader: one
 * that has everything, one that lost the end, or a replica that was left behind. A writer asks its log where the
 * journal's records diverge, as the tracker asks the cluster: when it starts, and when the epoch changes. It
 * truncates the journal there, and continues reading. After a life the checkpoint is lost, or replaced by the one
 * from before that life.
 *
 * Invariants after each life:
 * - each held offset has a line in its epoch, or had one in a removed segment, or was not a record;
 * - each acknowledged and not superseded record is held;
 * - each record that the lines hold by the rule, but the journal does not, was truncated;
 * - no line repeats a held record.
 * And after the writer has asked and read to the end, the held records are those of the log.
 */

import assert from "node:assert/strict";
import { zstdDecompressSync } from "node:zlib";
import type { Clock } from "../../lib/journal/clock.ts";
import type { Journal } from "../../lib/journal/journal.ts";
import { openJournal } from "../../lib/journal/open_journal.ts";
import { checkManifests } from "../../lib/journal/manifest_check.ts";
import { encodedLines, newSeed, partition, seededRandom } from "./fixture.ts";
import { type Fate, PowerLossDisk } from "./power_loss_disk.ts";
import {
  type EpochRecord,
  epochRecordsIn,
  type Held,
  heldRecords,
  lineInEpoch,
  SimulatedLog,
  withLine,
} from "./truncated_log.ts";

const PARTITION_COUNT = 2;
const LIFE_COUNT = 8;
const RUN_COUNT = Number(Deno.env.get("RUNS") ?? 40);
const CHECKPOINT = "logs/tracker.checkpoint";

const UPKEEPS = [
  {},
  { compress: true },
  { keepMs: 1e-6 },
  { compress: true, keepMs: 1e-6 },
] as const;

/** A partition: its log, and a tracker's progress in it. */
class Source {
  readonly log = new SimulatedLog();
  /** Everything below this is in the journal; moves back when the log is truncated. */
  committed = 0;
  /** The last offset read, whether a record or not, and its epoch; committed like {@link committed}. */
  read: EpochRecord | undefined;
  committedRead: EpochRecord | undefined;
  acknowledged: Held = new Map();
  readonly truncated = new Map<number, Set<number | undefined>>();
  /** Truncated records that returned with a replica that had been left behind; they have two lines. */
  readonly returned = new Set<string>();
  /** Offsets held without a line, because there was no record. */
  readonly lineless = new Set<number>();

  truncate(offset: number): void {
    this.committed = Math.min(this.committed, offset);
    const [last] = this.log.epochStarts(offset - 1, offset);
    this.committedRead = this.read = last && [offset - 1, last.epoch];
    this.acknowledged = new Map([...this.acknowledged].filter(([at]) => at < offset));
  }
}

class Run {
  readonly #upkeep: (typeof UPKEEPS)[number];
  readonly #random: () => number;
  readonly #disk: PowerLossDisk;
  readonly #sources = Array.from({ length: PARTITION_COUNT }, () => new Source());
  #oldCheckpoint: Uint8Array | undefined;
  #dateMs = 0;
  readonly seen = {
    deaths: 0,
    powerLosses: 0,
    rotations: 0,
    rebuilt: 0,
    truncations: 0,
    replicas: 0,
    "checkpoints put back": 0,
  };

  constructor(seed: number) {
    this.#upkeep = UPKEEPS[seed % UPKEEPS.length] ?? {};
    this.#random = seededRandom(seed);
    this.#disk = new PowerLossDisk(this.#random);
  }

  async live(): Promise<void> {
    let operationsLeft = Math.floor(this.#random() * 400);
    let die = () => {};
    const died = new Promise<void>((resolve) => die = resolve);
    let isOpen = false;
    const fate = (operation: string): Fate => {
      if (operationsLeft-- <= 0) {
        die();
        return "never";
      }
      const mayFail = isOpen && /write|syncData|rename|remove|create|replace/.test(operation);
      return mayFail && this.#random() < 0.03 ? "fails" : "done";
    };
    const work = async () => {
      const journal = await this.#open(fate);
      isOpen = true;
      await Promise.all(this.#sources.map((_, number) => this.#track(journal, number)));
    };
    await Promise.race([work(), died]);
    this.seen.deaths++;
    if (this.#random() < 0.5) {
      this.#disk.kill();
    } else {
      this.seen.powerLosses++;
      this.#disk.losePower();
      // Without a checkpoint it is unknown what was flushed, so torn lines followed by complete ones are kept.
      await (await this.#open(() => "done")).close();
    }
    await this.#changeCheckpoint();
    await this.#check();
  }

  #open(fate: (operation: string) => Fate): Promise<Journal> {
    let nowMs = 0;
    const clock: Clock = {
      now: () => nowMs += this.#random() * 3_000,
      // Each reading of the date returns a later one, so that only the seed decides what is old.
      date: () => new Date(++this.#dateMs),
      sleep: (delayMs, signal) =>
        delayMs <= 5_000
          ? Promise.resolve()
          : new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
    };
    return openJournal({
      directory: "logs",
      storage: this.#disk.storage(fate),
      clock,
      rotateBytes: 3_000,
      ...this.#upkeep,
      onNotice: ({ kind }) => {
        if (kind === "rotated") this.seen.rotations++;
        if (kind === "rebuilt") this.seen.rebuilt++;
        const mayRepeat = this.#sources.some(({ returned }) => returned.size > 0);
        assert.ok(kind !== "repeated lines" || mayRepeat, kind);
        assert.ok(kind !== "reopened" && kind !== "segment changed", kind);
      },
    });
  }

  async #track(journal: Journal, number: number): Promise<never> {
    const source = this.#source(number);
    source.read = source.committedRead;
    let position = await this.#ask(journal, number);
    while (true) {
      this.#write(source.log);
      position = await this.#step(journal, number, position);
      // A stalled journal answers in the same turn; the storage's operations need a turn of their own.
      await Promise.resolve();
    }
  }

  /** Truncates the journal where it diverges from the log, and returns where to continue reading. */
  async #ask(journal: Journal, number: number): Promise<number> {
    const source = this.#source(number);
    const held = heldRecords(journal, number);
    const at = await this.#divergence(journal, number);
    if (at !== undefined) {
      this.seen.truncations++;
      for (const [offset, epoch] of held) {
        if (offset < at) continue;
        const epochs = source.truncated.get(offset) ?? new Set();
        source.truncated.set(offset, epochs.add(epoch));
      }
      source.truncate(at);
      await journal.truncate(partition(number), at);
    }
    return source.committed;
  }

  /** Offsets read beyond the last held record may have been truncated too. */
  #divergence(journal: Journal, number: number): Promise<number | undefined> {
    const { log, read } = this.#source(number);
    const held = heldRecords(journal, number);
    const isPast = read !== undefined && read[0] > (held.at(-1)?.[0] ?? -1);
    return log.divergence(isPast ? [...held, read] : held);
  }

  /** Journals a batch from the position on; returns the next position. */
  async #step(journal: Journal, number: number, position: number): Promise<number> {
    const source = this.#source(number);
    const { log } = source;
    const end = Math.min(log.end, position + 1 + Math.floor(this.#random() * 5));
    const starts = log.epochStarts(position, end);
    const lastEpochs = [source.read?.[1], journal.lastEpoch(partition(number))];
    const isOther = starts.length === 0 ||
      starts.some(({ epoch }) => lastEpochs.some((last) => last !== epoch));
    if (isOther && await this.#divergence(journal, number) !== undefined) {
      return await this.#ask(journal, number);
    }
    const fresh = log.records(position, end).filter(([offset]) =>
      !journal.holds({ ...partition(number), offset })
    );
    const [first] = fresh[0] ?? [];
    if (first !== undefined) {
      for (const [offset, epoch] of fresh) {
        if (source.truncated.get(offset)?.has(epoch)) source.returned.add(`${offset} ${epoch}`);
      }
      const held = new Set(heldRecords(journal, number).map(([offset]) => offset));
      const offsets = Array.from({ length: end - first }, (_, index) => first + index)
        .filter((offset) => !held.has(offset));
      const records = new Set(fresh.map(([offset]) => offset));
      for (const offset of offsets) if (!records.has(offset)) source.lineless.add(offset);
      await journal.append({
        ...partition(number),
        intervals: offsets.map((offset) => ({ start: offset, end: offset + 1 })),
        epochs: starts,
        ...encodedLines(fresh.map((record) => lineInEpoch(number, record))),
      });
      for (const record of fresh) source.acknowledged = withLine(source.acknowledged, record);
      for (const [offset, epoch] of fresh) source.truncated.get(offset)?.delete(epoch);
    }
    if (end > position) source.read = [end - 1, starts.at(-1)?.epoch];
    if (this.#random() < 0.7) {
      source.committed = Math.max(position, end);
      source.committedRead = source.read;
    }
    return Math.max(position, end);
  }

  #write(log: SimulatedLog): void {
    const chance = this.#random();
    if (chance < 0.03) log.elect();
    else if (chance < 0.08) log.loseFrom(Math.floor(this.#random() * (log.end + 1)));
    else if (chance < 0.1) {
      log.electReplica(Math.floor(this.#random() * 100));
      this.seen.replicas++;
    }
    log.append(Math.floor(this.#random() * 5), () => this.#random() < 0.8);
  }

  async #changeCheckpoint(): Promise<void> {
    const storage = this.#disk.storage(() => "done");
    await storage.createDirectory("logs"); // a power loss can have removed a new one
    const chance = this.#random();
    if (chance < 0.25) await storage.remove(CHECKPOINT);
    else if (chance < 0.4 && this.#oldCheckpoint !== undefined) {
      const file = await storage.open(CHECKPOINT, "replace");
      await file.write(this.#oldCheckpoint);
      await file.syncData();
      file.close();
      this.seen["checkpoints put back"]++;
    }
    await storage.syncDirectory("logs");
  }

  async #check(): Promise<void> {
    let journal = await this.#open(() => "done");
    const lines = new Set<string>();
    const found = holdingsIn(this.#disk.files(), (number, [offset, epoch], isRepeated) => {
      lines.add(`${number} ${offset} ${epoch}`);
      const { returned, lineless } = this.#source(number);
      const mayRepeat = returned.has(`${offset} ${epoch}`) || lineless.has(offset);
      assert.ok(!isRepeated || mayRepeat, `${number}:${offset} repeated`);
    });
    for (const [number, source] of this.#sources.entries()) {
      const held = new Map(heldRecords(journal, number));
      const byLines = found[number] ?? new Map();
      for (const [offset, epoch] of source.acknowledged) {
        assert.equal(held.get(offset), epoch, `${number}:${offset} was acknowledged in ${epoch}`);
      }
      for (const [offset, epoch] of byLines) {
        const isSame = held.has(offset) && held.get(offset) === epoch;
        const isTruncated = source.truncated.get(offset)?.has(epoch);
        assert.ok(isSame || isTruncated, `${number}:${offset} is not held in ${epoch}`);
      }
      for (const [offset, epoch] of held) {
        const hasLine = lines.has(`${number} ${offset} ${epoch}`);
        assert.ok(hasLine || source.lineless.has(offset), `${number}:${offset} has no line`);
      }
    }
    await this.#catchUp(journal);
    await journal.close();
    // All closed segments are processed now: their manifests alone must give the same result.
    journal = await this.#open(() => "done");
    this.#assertAsLogs(journal);
    await journal.close();
    this.#oldCheckpoint = this.#disk.files().get("tracker.checkpoint");
    if (this.#random() < 0.7) return; // reads everything there is
    const storage = this.#disk.storage(() => "done");
    const { segments } = await checkManifests("logs", { storage });
    assert.deepEqual(segments.filter(({ ok, state }) => !ok || state === "unsealed"), []);
  }

  async #catchUp(journal: Journal): Promise<void> {
    for (const [number, { log }] of this.#sources.entries()) {
      // The last held offset may also end its epoch, which only a following record shows.
      log.append(1, () => true);
      const source = this.#source(number);
      source.read = source.committedRead;
      for (let position = await this.#ask(journal, number); position < log.end;) {
        position = await this.#step(journal, number, position);
      }
    }
    this.#assertAsLogs(journal);
  }

  #assertAsLogs(journal: Journal): void {
    for (const [number, { log }] of this.#sources.entries()) {
      const held = new Map(heldRecords(journal, number));
      const records = log.records();
      assert.deepEqual(
        records.map(([offset]) => [offset, held.get(offset)]),
        records,
        `partition ${number}`,
      );
      assert.ok([...held.keys()].every((offset) => offset < log.end), `past the end of ${number}`);
    }
  }

  #source(number: number): Source {
    const source = this.#sources[number];
    assert.ok(source);
    return source;
  }
}

/** Returns what the files hold by partition: lines according to the rule, and manifests of removed segments. */
function holdingsIn(
  files: ReadonlyMap<string, Uint8Array>,
  onRecord: (number: number, record: EpochRecord, isRepeated: boolean) => void,
): Map<number, number | undefined>[] {
  const holdings = Array.from(
    { length: PARTITION_COUNT },
    () => new Map<number, number | undefined>(),
  );
  const decoder = new TextDecoder();
  const add = (number: number, record: EpochRecord) => {
    const held = holdings[number] ?? new Map();
    const [offset, epoch] = record;
    onRecord(number, record, held.has(offset) && held.get(offset) === epoch);
    holdings[number] = withLine(held, record);
  };
  const parts = new Map<string, () => void>();
  for (const [name, bytes] of [...files].sort(([a], [b]) => rank(a) - rank(b))) {
    const [, kind = "", digits = "999999"] = /^tracker\.(\w+)(?:\.(\d+))?/.exec(name) ?? [];
    if (kind === "removed") {
      parts.set(digits, () => addManifest(JSON.parse(decoder.decode(bytes)).body));
    }
    const isSegment = kind === "events" || kind === "archive" && name.endsWith(".zst");
    if (!isSegment || parts.has(digits)) continue;
    parts.set(digits, () => {
      // One block, after the frame that contains its length.
      const text = kind === "archive" ? zstdDecompressSync(bytes.subarray(16)) : bytes;
      for (const [number, ...record] of epochRecordsIn([decoder.decode(text)])) add(number, record);
    });
  }
  for (const [, apply] of [...parts].sort(([a], [b]) => a < b ? -1 : 1)) apply();
  return holdings;

  function addManifest(
    { partitions, leader_epochs = [] }: {
      readonly partitions: readonly {
        readonly partition: number;
        readonly held: readonly [number, number][];
      }[];
      readonly leader_epochs?: readonly {
        readonly partition: number;
        readonly starts: readonly [number | null, number][];
        readonly superseded: readonly [number, number][];
      }[];
    },
  ): void {
    for (const { partition, superseded } of leader_epochs) {
      for (const [start, end] of superseded) {
        for (let offset = start; offset < end; offset++) holdings[partition]?.delete(offset);
      }
    }
    for (const { partition, held } of partitions) {
      const { starts = [] } = leader_epochs.find((each) => each.partition === partition) ?? {};
      for (const [start, end] of held) {
        for (let offset = start; offset < end; offset++) {
          add(partition, [offset, starts.findLast(([, from]) => from <= offset)?.[0] ?? undefined]);
        }
      }
    }
  }
}

/** Ranks manifests of removed segments before segments, and segments before their archives. */
function rank(name: string): number {
  return name.startsWith("tracker.removed.") ? 0 : name.startsWith("tracker.events") ? 1 : 2;
}

Deno.test("the journal holds what its log has, through truncations, deaths, power losses, and lost checkpoints", async () => {
  const firstSeed = newSeed();
  const total: Record<string, number> = {};
  for (let index = 0; index < RUN_COUNT; index++) {
    const seed = (firstSeed + index) >>> 0;
    const run = new Run(seed);
    for (let life = 0; life < LIFE_COUNT; life++) {
      try {
        await run.live();
      } catch (error) {
        throw new Error(`SEED=${seed} RUNS=1, life ${life + 1}`, { cause: error });
      }
    }
    for (const [name, count] of Object.entries(run.seen)) total[name] = (total[name] ?? 0) + count;
  }
  if (RUN_COUNT < 40) return;
  for (const [name, count] of Object.entries(total)) {
    assert.ok(count > 0, `no ${name} in ${RUN_COUNT} runs, seed ${firstSeed}`);
  }
});
