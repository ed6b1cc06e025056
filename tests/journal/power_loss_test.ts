/**
 * Goal: whatever fails, and whenever the process or the machine dies, the journal has each acknowledged record once,
 * in the partition's order, and holds exactly the offsets in its files, those of removed segments according to their
 * manifests.
 *
 * Method: "Kafka" is a counter for each partition. In each life a writer for each partition appends what the journal
 * does not hold, from the last commit on, and commits what is acknowledged. The disk fails some operations, and after
 * a random number of them the process dies, or the power fails.
 *
 * Invariants after each life: no record below the commit is missing, none is repeated, all are in order, there is no
 * bad line, the held offsets match the files, and every manifest and the chain are correct.
 */

import assert from "node:assert/strict";
import type { Clock } from "../../lib/journal/clock.ts";
import { openJournal } from "../../lib/journal/open_journal.ts";
import { checkManifests } from "../../lib/journal/manifest_check.ts";
import {
  appendOf,
  heldNames,
  namesOf,
  newSeed,
  partition,
  recordsIn,
  seededRandom,
} from "./fixture.ts";
import { type Fate, journalOn, PowerLossDisk } from "./power_loss_disk.ts";

const PARTITION_COUNT = 3;
const LIFE_COUNT = 12;
const RUN_COUNT = Number(Deno.env.get("RUNS") ?? 75);

/** What is done with closed segments; the seed decides. */
const UPKEEPS = [
  {},
  { compress: true },
  { keepMs: 1e-6 },
  { compress: true, keepMs: 1e-6 },
] as const;

class Run {
  readonly #upkeep: (typeof UPKEEPS)[number];
  readonly #random: () => number;
  readonly #disk: PowerLossDisk;
  readonly #committed: number[] = new Array(PARTITION_COUNT).fill(0);
  #dateMs = 0;
  readonly seen = {
    deaths: 0,
    powerLosses: 0,
    cuts: 0,
    stalls: 0,
    rotations: 0,
    rebuilt: 0,
    sealed: 0,
  };
  readonly tended = { compressed: 0, removed: 0 };

  constructor(seed: number) {
    this.#upkeep = UPKEEPS[seed % UPKEEPS.length] ?? {};
    this.#random = seededRandom(seed);
    this.#disk = new PowerLossDisk(this.#random);
  }

  async live(): Promise<void> {
    let operationsLeft = Math.floor(this.#random() * 400);
    let die = () => {};
    const died = new Promise<void>((resolve) => die = resolve);
    const fate = (operation: string): Fate => {
      if (operationsLeft-- <= 0) {
        die();
        return "never";
      }
      const mayFail = isOpen &&
        /write|syncData|rename|remove|syncDirectory|create|replace/.test(operation);
      return mayFail && this.#random() < 0.03 ? "fails" : "done";
    };
    let isOpen = false;
    const work = async () => {
      const journal = await this.#open(fate);
      isOpen = true;
      await Promise.all(this.#committed.map((_, number) => this.#write(journal, number)));
    };
    await Promise.race([work(), died]);
    this.seen.deaths++;
    if (this.#random() < 0.5) {
      this.#disk.kill();
    } else {
      this.seen.powerLosses++;
      this.#disk.losePower();
    }
    await this.#check();
  }

  #open(fate: (operation: string) => Fate) {
    let nowMs = 0;
    const clock: Clock = {
      // Time passes quickly, so that checkpoints happen at any moment.
      now: () => nowMs += this.#random() * 3_000,
      // But closing never times out, and closed segments are not checked again. Each reading of the date returns a
      // later one, so that only the seed decides what is old.
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
        if (kind === "cut") this.seen.cuts++;
        if (kind === "stalled") this.seen.stalls++;
        if (kind === "rotated") this.seen.rotations++;
        if (kind === "rebuilt") this.seen.rebuilt++;
        if (kind === "sealed") this.seen.sealed++;
        if (kind === "compressed" || kind === "removed") this.tended[kind]++;
        assert.ok(!/^(repeated lines|reopened|segment changed)$/.test(kind), kind);
      },
    });
  }

  async #write(journal: Awaited<ReturnType<typeof openJournal>>, number: number): Promise<void> {
    for (let offset = this.#committed[number] ?? 0;;) {
      // One in eight is larger than a segment, and is split.
      const count = 1 + Math.floor(this.#random() * (this.#random() < 1 / 8 ? 24 : 4));
      const offsets = Array.from({ length: count }, (_, index) => offset + index)
        .filter((offset) => !journal.holds({ ...partition(number), offset }));
      const first = offsets[0];
      const end = offset + count;
      // Held records come first, because the held offsets of a partition have no gaps.
      if (first !== undefined) await journal.append(appendOf(number, { start: first, end }));
      offset = end;
      if (this.#random() < 0.7) this.#committed[number] = end;
    }
  }

  async #check(): Promise<void> {
    const journal = await this.#open(() => "done");
    // Read before anything more is done with the segments.
    const found = journalOn(this.#disk);
    const { records, badLineCount } = recordsIn(found.texts);
    records.unshift(...found.removed);
    assert.equal(badLineCount, 0, "bad lines");
    for (const [number, committed] of this.#committed.entries()) {
      const own = records.filter((name) => name.startsWith(`${number}:`));
      assert.deepEqual(
        own,
        namesOf(number, { start: 0, end: own.length }),
        "each record once, in order",
      );
      assert.ok(own.length >= committed, `missing: committed ${committed}, found ${own.length}`);
    }
    assert.deepEqual(heldNames(journal, PARTITION_COUNT), [...records].sort(byPartition), "held");
    await journal.close();
    if (this.#random() < 0.7) return; // reads everything there is
    const { segments } = await checkManifests("logs", {
      storage: this.#disk.storage(() => "done"),
    });
    assert.deepEqual(segments.filter(({ ok, state }) => !ok || state === "unsealed"), []);
  }
}

function byPartition(a: string, b: string): number {
  const [partitionA = 0, offsetA = 0] = a.split(":").map(Number);
  const [partitionB = 0, offsetB = 0] = b.split(":").map(Number);
  return partitionA - partitionB || offsetA - offsetB;
}

Deno.test("the journal holds what its files have, each record once, through random deaths and power losses", async () => {
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
    const seen = { ...run.seen, ...run.tended };
    for (const [name, count] of Object.entries(seen)) total[name] = (total[name] ?? 0) + count;
  }
  for (const [name, count] of Object.entries(total)) {
    // No checkpoint is ever lost here, however the power fails.
    if (name === "rebuilt") assert.equal(count, 0, name);
    else assert.ok(count > 0, `no ${name} in ${RUN_COUNT} runs, seed ${firstSeed}`);
  }
});
