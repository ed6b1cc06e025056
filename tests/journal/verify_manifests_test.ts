/** Tests `tracker verify` on a journal in segments: sealed, compressed, removed, and tampered with. */

import assert from "node:assert/strict";
import { join } from "node:path";
import type { KafkaRecord } from "../../lib/record.ts";
import { openJournal } from "../../lib/journal/open_journal.ts";
import { describeVerification } from "../../lib/verify/report.ts";
import { encodedLines } from "./fixture.ts";
import { countsOf, createVerifySite, numbered, type VerifySite } from "../verify/verify_site.ts";

const RECORDS = 60;
const ROTATE = { rotateBytes: 4_000 };

/** Journals the records in groups of five, closes, and waits until its segments are processed. */
async function journaled(
  site: VerifySite,
  records: readonly KafkaRecord[],
  options: { readonly compress?: boolean; readonly keepMs?: number } = {},
): Promise<string> {
  const directory = join(site.folder, "logs");
  const journal = await openJournal({ directory, onNotice: () => {}, ...ROTATE, ...options });
  for (let index = 0; index < records.length; index += 5) {
    const group = records.slice(index, index + 5);
    const start = group[0]?.offset ?? 0;
    await journal.append({
      topic: site.topic,
      topicId: site.topicId,
      partition: 0,
      intervals: [{ start, end: start + group.length }],
      epochs: [],
      ...encodedLines(group.map((record) => site.lineOf(record))),
    });
  }
  const deadline = Date.now() + 10_000;
  const isDone = () => {
    if (options.compress || options.keepMs) {
      return namesIn(directory, "tracker.events.").length === 0;
    }
    return true;
  };
  while (!isDone()) {
    assert.ok(Date.now() < deadline, "the segments are not processed within 10 s");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await journal.close();
  return directory;
}

function namesIn(directory: string, start: string): readonly string[] {
  return Array.from(Deno.readDirSync(directory), ({ name }) => name)
    .filter((name) => name.startsWith(start)).sort();
}

function changeByte(path: string, at: number): void {
  const bytes = Deno.readFileSync(path);
  Deno.writeFileSync(path, bytes.with(at, (bytes[at] ?? 0) ^ 1));
}

for (const compress of [false, true]) {
  const form = compress ? "compressed" : "plain";
  Deno.test(`verifyJournals() proves a ${form} journal unchanged after the topic's retention, and detects a changed byte`, async () => {
    await using site = await createVerifySite();
    const records = await site.send(0, numbered(RECORDS));
    const logs = await journaled(site, records, { compress });
    await site.deleteBelow(0, RECORDS);

    const old = await site.verify([logs]);
    assert.deepEqual(countsOf(old), { journals: 1, journaled: RECORDS, expired: RECORDS });
    assert.ok(old.segments.length >= 4);
    const state = compress ? "compressed" : "plain";
    assert.ok(old.segments.every((segment) => segment.ok && segment.state === state));
    assert.equal(old.segments[0]?.journal, logs);
    assert.equal(old.ok, true);
    assert.match(describeVerification(old).join("\n"), /closed segments unchanged, by manifest/);

    const kind = compress ? "archive" : "events";
    const [, second = ""] = namesIn(logs, `tracker.${kind}.`);
    changeByte(join(logs, second), Deno.statSync(join(logs, second)).size - 30);
    const changed = await site.verify([logs]);
    assert.equal(changed.ok, false);
    assert.deepEqual(
      changed.segments.filter(({ ok }) => !ok).map(({ name }) => name),
      ["tracker.events.000002"],
    );
    const text = describeVerification(changed);
    assert.ok(text.some((line) => line.includes("tracker.events.000002: the segment was changed")));
    assert.match(text.at(-1) ?? "", /^NOT PROVEN: .*1 changed segment/);
  });
}

Deno.test("verifyJournals() detects a missing segment whose records the topic no longer has", async () => {
  await using site = await createVerifySite();
  const records = await site.send(0, numbered(RECORDS));
  const logs = await journaled(site, records);
  await site.deleteBelow(0, RECORDS);
  Deno.removeSync(join(logs, "tracker.events.000001"));

  const verification = await site.verify([logs]);

  assert.equal(verification.missing, 0);
  assert.equal(verification.ok, false);
  assert.deepEqual(verification.segments[0], {
    journal: logs,
    name: "tracker.events.000001",
    state: "missing",
    ok: false,
    reason: "the segment is missing",
  });
});

Deno.test("verifyJournals() distinguishes records in removed segments from missing ones", async () => {
  await using site = await createVerifySite();
  const records = await site.send(0, numbered(RECORDS));
  // One record is in no segment at all.
  const logs = await journaled(site, records.slice(0, 40), { keepMs: 1e-6 });
  await journaled(site, records.slice(41));

  const verification = await site.verify([logs]);

  assert.equal(verification.missing, 1);
  assert.deepEqual(verification.partitions[0]?.examples.missing, [40]);
  assert.ok(verification.removed >= 30);
  assert.equal(verification.removed + verification.journaled, RECORDS - 1);
  assert.ok(verification.segments.some(({ state, ok }) => state === "removed" && ok));
  assert.match(describeVerification(verification).join("\n"), /removed for their age/);
});

Deno.test("verifyJournals() compares the records of compressed segments, in any order", async () => {
  await using site = await createVerifySite();
  const records = await site.send(0, numbered(RECORDS));
  const changed = records.map((record, index) =>
    index === 17 ? { ...record, value: new TextEncoder().encode("another") } : record
  );
  const logs = await journaled(site, changed, { compress: true });

  const verification = await site.verify([logs]);

  assert.deepEqual(
    countsOf(verification),
    { journals: 1, records: RECORDS, journaled: RECORDS, mismatched: 1 },
  );
  assert.deepEqual(verification.partitions[0]?.examples.mismatched, [17]);
});
