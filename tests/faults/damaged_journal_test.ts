import assert from "node:assert/strict";
import { join } from "node:path";
import { createShop } from "../../lib/shop/shop.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, type JournalLine, readTopic, type Site } from "../site.ts";
import {
  assertAllCommitted,
  assertHolds,
  between,
  logged,
  scaled,
  seededChoices,
  startFaultTracker,
  trackToEnd,
  withDeadline,
} from "./fault_site.ts";

const broker = await liveBroker();

/**
 * Without its checkpoint a journal gets a new id, and a commit under the old one counts as another tracker's.
 * Therefore committed lines that are damaged together with the checkpoint would not be read again: the test damages
 * only uncommitted ones.
 */
const UNCOMMITTED = "uncommitted lines torn, and no checkpoint";
const RECORDS_A_ROUND = 90;
const NEWLINE = 0x0a;

/** A site whose topic gets a few more orders at a time. */
class Orders {
  readonly #site: Site;
  readonly #shop = createShop({ seed: 11 });

  constructor(site: Site) {
    this.#site = site;
  }

  async send(): Promise<void> {
    const producer = this.#site.kafka.producer({ allowAutoTopicCreation: false });
    await producer.connect();
    await producer.send({
      topic: this.#site.topic,
      messages: Array.from({ length: RECORDS_A_ROUND }, (_, index) => ({
        partition: index % 3,
        key: index % 4 === 0 ? null : `key ${index}`,
        value: JSON.stringify(this.#shop.nextOrder(Date.UTC(2026, 0, 1))),
        headers: index % 2 === 0 ? {} : { trace: [String(index), "again"], empty: "" },
        timestamp: String(Date.now() - index * 1_000),
      })),
    });
    await producer.disconnect();
  }
}

interface Files {
  readonly journal: string;
  readonly checkpoint: string;
}

function filesOf({ logs }: Site): Files {
  return { journal: join(logs, "tracker.events"), checkpoint: join(logs, "tracker.checkpoint") };
}

/** Returns where the second-to-last line begins, where the last one begins, and where it ends. */
function lastLines(
  path: string,
): { readonly start: number; readonly last: number; readonly end: number } {
  const bytes = Deno.readFileSync(path);
  const last = bytes.lastIndexOf(NEWLINE, bytes.length - 2) + 1;
  return { start: bytes.lastIndexOf(NEWLINE, last - 2) + 1, last, end: bytes.length };
}

/** Returns the lines that are records; `assertHolds` compares them. */
function recordLines({ journal }: Files): readonly JournalLine[] {
  return Deno.readTextFileSync(journal).split("\n").filter((line) =>
    line.includes('"kafka_offset"')
  )
    .map((line) => JSON.parse(line));
}

/** Runs a tracker that dies before its last commit, or one that stops in order. */
async function trackAndEnd(site: Site, isKilled: boolean): Promise<void> {
  if (!isKilled) return void await trackToEnd(site);
  using tracker = startFaultTracker(site, { dieAt: { point: "before-commit", count: 1 } });
  assert.equal(await withDeadline(tracker.exitCode, () => tracker.output.stderr), 128 + 9);
}

/**
 * Goal: whatever a crash leaves of the journal's files, the next tracker repairs it.
 * Method: in each round records arrive, a tracker journals them and ends (in order, or by SIGKILL before its commit),
 * its files are damaged, and the next one runs to the topic's end. Damage: the journal is cut within its last two
 * lines, or ends in zeros or half a line; the checkpoint is missing, old, torn, or all zeros.
 * Invariants: after each round topic and journal are the same, and everything is committed.
 */
Deno.test("the next run repairs a journal that is cut in its last two lines, zeroed, or has a bad checkpoint", async () => {
  await using site = await createSite({ broker: broker.address });
  const random = seededChoices();
  const orders = new Orders(site);
  const files = filesOf(site);
  const { journal, checkpoint } = files;
  const append = (bytes: Uint8Array) => Deno.writeFileSync(journal, bytes, { append: true });
  let oldCheckpoint = new Uint8Array();

  const cuts = scaled({ long: 24, short: 2 });
  const damages: readonly (readonly [name: string, damage: () => void])[] = [
    ...Array.from({ length: cuts }, () =>
      [
        "cut inside the last two lines",
        () => {
          const { start, end } = lastLines(journal);
          Deno.truncateSync(journal, between(random, { min: start, max: end }));
        },
      ] as const),
    ["cut before the last newline", () => Deno.truncateSync(journal, lastLines(journal).end - 1)],
    ["cut between the lines", () => Deno.truncateSync(journal, lastLines(journal).last)],
    ["a tail of zeros", () => append(new Uint8Array(4_096))],
    [
      "a last line of zeros",
      () => {
        const { last, end } = lastLines(journal);
        Deno.truncateSync(journal, last);
        append(new Uint8Array(end - last));
      },
    ],
    ["a torn line after the end", () => append(new TextEncoder().encode('{"timestamp":"2026-'))],
    ["no checkpoint", () => Deno.removeSync(checkpoint)],
    ["an old checkpoint", () => Deno.writeFileSync(checkpoint, oldCheckpoint)],
    ["a torn checkpoint", () => Deno.truncateSync(checkpoint, Deno.statSync(checkpoint).size / 2)],
    ["a checkpoint of zeros", () => Deno.writeFileSync(checkpoint, new Uint8Array(200))],
    [
      UNCOMMITTED,
      () => {
        Deno.truncateSync(journal, lastLines(journal).end - 10);
        Deno.removeSync(checkpoint);
      },
    ],
  ];
  await orders.send();
  await trackToEnd(site);
  for (const [name, damage] of damages) {
    oldCheckpoint = Deno.readFileSync(checkpoint);
    await orders.send();
    await trackAndEnd(site, name === UNCOMMITTED || random.unit() < 0.5);
    damage();
    await orders.send();
    await trackToEnd(site);
    try {
      assertHolds(recordLines(files), await readTopic(site));
      await assertAllCommitted(site);
    } catch (error) {
      throw new Error(`after ${name}`, { cause: error });
    }
  }
  assert.notEqual(logged(site.logs, /torn line/).length, 0);
  assert.notEqual(logged(site.logs, /checkpoint could not be trusted/).length, 0);
});

/**
 * Goal: foreign lines in the journal are harmless, and stay.
 * Method: lines that are not records are added at the journal's beginning and in its middle, between two runs.
 * Invariants: they are there afterwards, and the log names them; topic and journal hold the same records.
 */
Deno.test("foreign lines in the journal are kept and do no harm", async () => {
  await using site = await createSite({ broker: broker.address });
  const orders = new Orders(site);
  const files = filesOf(site);
  await orders.send();
  await trackToEnd(site);
  const lines = Deno.readTextFileSync(files.journal).split("\n");
  const foreign = ['{"note":"a line of another program"}', "not json", ""];
  lines.splice(40, 0, ...foreign);
  Deno.writeTextFileSync(files.journal, [foreign[0], ...lines].join("\n"));
  await orders.send();
  await trackToEnd(site);
  const text = Deno.readTextFileSync(files.journal).split("\n");
  assert.equal(text[0], foreign[0]);
  assert.deepEqual(text.slice(41, 44), foreign);
  assert.notEqual(logged(site.logs, /lines that are not records/).length, 0);
  assertHolds(recordLines(files), await readTopic(site));
  await assertAllCommitted(site);
});
