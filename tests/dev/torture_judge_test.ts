import assert from "node:assert/strict";
import { join } from "node:path";
import { judge } from "../../dev/torture/judge.ts";
import {
  type Evidence,
  type JournalLine,
  PROMISES,
  type TopicRecord,
} from "../../dev/torture/promises.ts";

const ID = "00000000000000000000000000000001";

function record(offset: number, more: Partial<TopicRecord> = {}): TopicRecord {
  const content = { value: `value ${offset}`, details: `details ${offset}` };
  return { partition: 0, offset, epoch: 3, ...content, headers: new Map(), ...more };
}

function line(offset: number, more: Partial<JournalLine> = {}): JournalLine {
  const { headers: _, ...content } = record(offset);
  const topic = { topic: "torture-main", topicId: ID };
  return { ...content, ...topic, mark: "", isBad: offset === 1, ...more };
}

/** The dead letter of the record at offset 1. */
function letter(offset: number, more: Record<string, string> = {}): TopicRecord {
  const headers = new Map(Object.entries({
    "__connect.errors.partition": "0",
    "__connect.errors.offset": "1",
    "orderflow.source.leader.epoch": "3",
    "orderflow.source.topic.id": ID,
    ...more,
  }));
  return record(offset, { value: "value 1", headers });
}

function redriven(offset: number): TopicRecord {
  return record(offset, { headers: new Map([["orderflow.redriven.from", "dlq/0/0"]]) });
}

const LINES = [line(0), line(1), line(2)];
const RECORDS = [record(0), record(1), record(2)];

/** Returns evidence without violations: one partition and three records, the second of them invalid. */
function evidence(
  {
    lines = LINES,
    records = RECORDS,
    heldBack = [],
    letters = [letter(0)],
    back = [redriven(3)],
    verified = "code 0: {}",
    facts = {},
  }: {
    readonly lines?: readonly JournalLine[];
    readonly records?: readonly TopicRecord[];
    readonly heldBack?: readonly TopicRecord[];
    readonly letters?: readonly TopicRecord[];
    readonly back?: readonly TopicRecord[];
    readonly verified?: string;
    readonly facts?: Partial<Evidence["facts"]>;
  } = {},
): Evidence {
  const acknowledged = { role: "main", incarnation: 0, sentAtMs: 5, partition: 0 } as const;
  return {
    facts: {
      ...{ incarnations: { main: 0, other: 0 }, formerTopics: new Map(), memberCount: 1 },
      truncatedUntilMs: new Map(),
      ...{ groupWasReset: false, lettersWereDeleted: false, lettersAreCompacted: false },
      violations: [],
      ...facts,
    },
    topics: [{
      ...{ role: "main", topic: "torture-main", id: ID, records, heldBack, letters },
      ...{ verified, redrives: ["code 0: {}"], redriven: [...records, ...back] },
    }],
    journals: [{
      ...{ name: "tracker-1", isGuest: false, lines, removed: new Map(), manifestFaults: [] },
    }],
    acknowledged: [{ ...acknowledged, offset: 2, sha256: "value 2" }],
    producers: [],
  };
}

function violated(given: Evidence): readonly string[] {
  return judge(given).violations.map((it) => it.slice(0, it.lastIndexOf(": 1 (")));
}

const TRUNCATED = { truncatedUntilMs: new Map([["main/0", 9]]) };
const NEW_EPOCH = { epoch: 4, value: "new", details: "new" };
const MARK = "partition 0 was truncated at offset 2: its records of leader epoch 3 were replaced";

Deno.test("judge() finds no violation if every promise holds", () => {
  assert.deepEqual(violated(evidence()), []);
  const lines = [...LINES, line(2, { ...NEW_EPOCH, mark: MARK })];
  const records = [record(0), record(1), record(2, NEW_EPOCH)];
  assert.deepEqual(violated(evidence({ lines, records, facts: TRUNCATED })), []);
});

Deno.test("judge() names the promise that is violated", () => {
  const noEffect = evidence();
  const [topic] = noEffect.topics;
  const [journal] = noEffect.journals;
  assert.ok(topic !== undefined && journal !== undefined);
  const producer = { name: "producer-1", ledger: [], accounts: { generated: 5, unknown: 4 } };
  const ledger = noEffect.acknowledged;
  const unordered = [1, 0].map((offset) => ({
    ...{ role: "main", incarnation: 0, sentAtMs: 5, partition: 0 } as const,
    ...{ offset, sha256: `value ${offset}` },
  }));
  const again = { value: "value 2" };
  const repeated = evidence({
    lines: [...LINES, line(3, again)],
    records: [...RECORDS, record(3, again)],
  });
  const broken: Record<string, readonly [string, Evidence]> = {
    "a record is missing": [PROMISES.once, evidence({ lines: [line(0), line(1)] })],
    "a record is there twice": [PROMISES.identity, evidence({ lines: [...LINES, line(2)] })],
    "a value changed": [
      PROMISES.once,
      evidence({ lines: [line(0, { value: "?" }), line(1), line(2)] }),
    ],
    "key, time, or headers changed": [
      PROMISES.once,
      evidence({ lines: [line(0, { details: "?" }), line(1), line(2)] }),
    ],
    "the order changed": [PROMISES.once, evidence({ lines: [line(0), line(2), line(1)] })],
    "a line has no record": [
      PROMISES.once,
      evidence({
        lines: [...LINES, line(3)],
        facts: { memberCount: 2 },
      }),
    ],
    "the record of a truncated log is missing": [
      PROMISES.truncated,
      evidence({
        lines: [line(0), line(1), line(2, { ...NEW_EPOCH })],
        records: [record(0), record(1), record(2, NEW_EPOCH), record(3, NEW_EPOCH)],
        facts: TRUNCATED,
      }),
    ],
    "a truncation has no mark": [
      PROMISES.truncated,
      evidence({
        lines: [...LINES, line(2, NEW_EPOCH)],
        records: [record(0), record(1), record(2, NEW_EPOCH)],
        facts: TRUNCATED,
      }),
    ],
    "a lost record is not superseded": [
      PROMISES.truncated,
      evidence({ records: [record(0), record(1)], facts: TRUNCATED }),
    ],
    "a topic that was created again is not read": [
      PROMISES.recreated,
      {
        ...evidence({ lines: LINES.slice(0, 2), facts: { incarnations: { main: 2, other: 0 } } }),
        acknowledged: [],
      },
    ],
    "a record of the new topic is journaled as one of the old": [
      PROMISES.recreated,
      evidence({
        lines: [line(2, { topicId: "former", value: "of the new topic" }), ...LINES],
        facts: { incarnations: { main: 0, other: 0 }, formerTopics: new Map([["former", 0]]) },
      }),
    ],
    "an acknowledged record is gone": [
      PROMISES.acknowledged,
      evidence({ lines: [line(0), line(1)], records: [record(0), record(1)] }),
    ],
    "a bad record has no letter": [PROMISES.bad, evidence({ letters: [], back: [] })],
    "a letter has another value": [
      PROMISES.bad,
      evidence({ letters: [{ ...letter(0), value: "?" }] }),
    ],
    "a record goes back twice": [PROMISES.redrive, evidence({ back: [redriven(3), redriven(4)] })],
    "a record never goes back": [PROMISES.redrive, evidence({ back: [] })],
    "a manifest is wrong": [
      PROMISES.manifest,
      { ...noEffect, journals: [{ ...journal, manifestFaults: ["tracker.manifest.000001.json"] }] },
    ],
    "verify fails": [
      PROMISES.verify,
      {
        ...noEffect,
        topics: [{ ...topic, verified: 'code 1: {"missing":1,"partitions":[]}' }],
      },
    ],
    "a producer's order is there twice": [
      PROMISES.order,
      {
        ...repeated,
        producers: [{ ...producer, accounts: { generated: 1, acknowledged: 1 }, ledger }],
      },
    ],
    "a producer's orders are in another order": [
      PROMISES.order,
      { ...noEffect, producers: [{ ...producer, accounts: undefined, ledger: unordered }] },
    ],
    "accounts do not add up": [PROMISES.accounts, { ...noEffect, producers: [producer] }],
  };
  for (const [what, [promise, given]] of Object.entries(broken)) {
    assert.deepEqual(violated(given), [promise], what);
  }
});

Deno.test("judge() excuses only what the faults explain", () => {
  const records = [record(0), record(1)];
  const lost = evidence({ lines: LINES.slice(0, 2), records, facts: TRUNCATED });
  assert.deepEqual(violated(lost), []);
  const later = lost.acknowledged.map((each) => ({ ...each, sentAtMs: 10 }));
  assert.deepEqual(violated({ ...lost, acknowledged: later }), [PROMISES.acknowledged]);
  // Line 2 is invalid; the log lost its record before the dead letter was sent.
  const lines = [line(0), line(1), line(2, { isBad: true })];
  const unsent = {
    lines: [...lines, line(2, { ...NEW_EPOCH, mark: MARK })],
    records: [...records, record(2, NEW_EPOCH)],
  };
  assert.deepEqual(violated(evidence({ ...unsent, facts: TRUNCATED })), []);
  assert.deepEqual(violated(evidence({ lines, facts: TRUNCATED })), [PROMISES.bad]);
  const adapted = letter(0, { "orderflow.errors.adapted": "value" });
  assert.deepEqual(violated(evidence({ letters: [{ ...adapted, value: "?" }] })), []);
});

Deno.test("judge() excuses records held back by a lost transaction marker only in a partition that lost its tail", () => {
  const heldBack = [record(3, NEW_EPOCH)];
  const verifiedWith = (counts: Record<string, number>) => {
    const faults = { missing: 0, mismatched: 0, unexplained: 0, out_of_order: 0, ...counts };
    const partitions = [{ partition: 0, undecided: 2 }];
    const all = { ...faults, duplicated: 0, duplicated_across_journals: 0, partitions };
    return `code 1: ${JSON.stringify(all)}`;
  };
  const held = { heldBack, verified: verifiedWith({}) };
  assert.deepEqual(violated(evidence({ ...held, facts: TRUNCATED })), []);
  assert.deepEqual(violated(evidence(held)), [PROMISES.verify]);
  assert.deepEqual(violated(evidence({ ...held, heldBack: [], facts: TRUNCATED })), [
    PROMISES.verify,
  ]);
  const missing = { heldBack, verified: verifiedWith({ missing: 1 }), facts: TRUNCATED };
  assert.deepEqual(violated(evidence(missing)), [PROMISES.verify]);
});

Deno.test("judge() takes lines from a mark's offset on as superseded if no record replaced them", () => {
  const next = { ...NEW_EPOCH, mark: MARK };
  const records = [record(0), record(1), record(3, NEW_EPOCH)];
  const marked = { lines: [...LINES, line(3, next)], records, facts: TRUNCATED };
  assert.deepEqual(violated(evidence(marked)), []);
  const unmarked = { ...marked, lines: [...LINES, line(3, NEW_EPOCH)] };
  assert.deepEqual(violated(evidence(unmarked)), [PROMISES.truncated]);
});

Deno.test("judge() excuses records below an offset that an operator set, if a mark reports it", () => {
  const mark = "offset 2 was committed by another program: reading on from it";
  const skipping = { lines: [line(2, { mark })], letters: [], back: [] };
  const groupWasReset = { facts: { groupWasReset: true } };
  assert.deepEqual(violated(evidence({ ...skipping, ...groupWasReset })), []);
  assert.deepEqual(judge(evidence(skipping)).violations.length, 1);
});

Deno.test("every promise of the judge is in docs/guarantees.md with the torture as its test", () => {
  const path = join(import.meta.dirname ?? ".", "..", "..", "docs", "guarantees.md");
  const paragraphs = Deno.readTextFileSync(path).split(/\n\n|\n- /)
    .map((text) => text.replaceAll(/\s+/g, " ").replaceAll("**", ""));
  for (const promise of Object.values(PROMISES)) {
    const paragraph = paragraphs.find((text) => text.includes(promise));
    assert.match(paragraph ?? "", /_Torture_/, promise);
  }
});

Deno.test("the judge does not import the product", () => {
  for (const name of ["judge.ts", "promises.ts", "evidence.ts"]) {
    const path = join(import.meta.dirname ?? ".", "..", "..", "dev", "torture", name);
    assert.doesNotMatch(Deno.readTextFileSync(path), /from "(\.\.\/)+lib/, name);
  }
});
