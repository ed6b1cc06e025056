/**
 * The judge: compares the contents of the cluster and the folders with the promises of docs/guarantees.md. It shares
 * no code with the product, and is pure.
 */

import {
  type Evidence,
  type Facts,
  type JournalEvidence,
  type JournalLine,
  type Judgment,
  type Place,
  PROMISES,
  type TopicEvidence,
  type TopicRecord,
} from "./promises.ts";

const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const EXAMPLES_MAX = 4;
const EXAMPLE_LENGTH_MAX = 300;

export function judge(evidence: Evidence): Judgment {
  const verdict = new Verdict(evidence.facts.violations);
  for (const journal of evidence.journals) {
    verdict.violate(
      PROMISES.manifest,
      journal.manifestFaults.map((it) => `${journal.name}: ${it}`),
    );
  }
  for (const topic of evidence.topics) {
    const held = evidence.journals.map((journal) =>
      judgeJournal(topic, { journal, evidence, verdict })
    );
    compare(topic, { held, evidence, verdict });
    judgeAcknowledged(topic, evidence, verdict);
    judgeProducers(topic, evidence, verdict);
    judgeLetters(topic, { held, evidence, verdict });
    judgeRedrive(topic, evidence, verdict);
    const wasSkipped = [...skippedBy(held, evidence.facts).values()].some((offset) => offset > 0);
    if (!wasSkipped && !isVerified(topic, evidence.facts)) {
      verdict.violate(PROMISES.verify, [topic.verified]);
    }
  }
  judgeAccounts(evidence, verdict);
  return verdict;
}

class Verdict implements Judgment {
  readonly violations: string[];
  readonly counts: Record<string, number> = {};

  constructor(violations: readonly string[]) {
    this.violations = [...violations];
  }

  count(what: string, count: number): void {
    this.counts[what] = (this.counts[what] ?? 0) + count;
  }

  /** Adds one line for all cases, with a few of them as examples. */
  violate(promise: string, cases: readonly string[]): void {
    if (cases.length === 0) return;
    const examples = cases.slice(0, EXAMPLES_MAX)
      .map((it) => it.slice(0, EXAMPLE_LENGTH_MAX)).join("; ");
    this.violations.push(`${promise}: ${cases.length} (${examples})`);
  }
}

function nameOf({ partition, offset, epoch }: Place): string {
  return `${partition}/${offset} of epoch ${epoch}`;
}

/** The lines that a journal holds of the current topic, by {@link nameOf}. */
type Held = ReadonlyMap<string, JournalLine>;

/**
 * Judges the lines of each partition in order. A line shows that the log was truncated: it supersedes lines with a
 * lower leader epoch, at or above its offset or the one that its mark names.
 */
function judgeJournal({ role, topic, id }: TopicEvidence, { journal, evidence, verdict }: {
  readonly journal: JournalEvidence;
  readonly evidence: Evidence;
  readonly verdict: Verdict;
}): Held {
  const { facts } = evidence;
  const lines = journal.lines.filter((line) => line.topic === topic);
  verdict.count("journal lines", lines.length);
  const held = new Map<string, JournalLine>();
  const twice: string[] = [];
  const unmarked: string[] = [];
  const unordered: string[] = [];
  const foreign: string[] = [];
  for (const own of Map.groupBy(lines, (it) => `${it.topicId}/${it.partition}`).values()) {
    const current = new Map<number, JournalLine>();
    let last = -1;
    for (const line of own) {
      const { partition, offset, epoch } = line;
      const place = `${journal.name} ${role}/${nameOf(line)}`;
      let superseded = 0;
      const from = Math.min(offset, truncatedFrom(line));
      for (let above = from; above <= last || current.has(above); above++) {
        if ((current.get(above)?.epoch ?? epoch) >= epoch) continue;
        current.delete(above);
        superseded++;
      }
      if (current.get(offset)?.epoch === epoch) twice.push(place);
      if (superseded > 0 && truncatedFrom(line) > offset) unmarked.push(place);
      const mayGoBack = facts.groupWasReset || facts.truncatedUntilMs.has(`${role}/${partition}`);
      if (offset < last && !mayGoBack) unordered.push(place);
      last = Math.max(last, offset);
      current.set(offset, line);
      verdict.count("superseded lines", superseded);
    }
    foreign.push(...foreignIn(own, { role, evidence }).map((it) => `${journal.name} ${it}`));
    if (own[0]?.topicId !== id) continue;
    for (const line of current.values()) held.set(nameOf(line), line);
  }
  verdict.violate(PROMISES.identity, twice);
  verdict.violate(PROMISES.truncated, unmarked);
  verdict.violate(PROMISES.once, unordered);
  verdict.violate(PROMISES.recreated, foreign);
  return held;
}

/**
 * Returns a deleted topic's lines in a partition that differ from the acknowledged records. They belong to the next
 * topic.
 */
function foreignIn(
  lines: readonly JournalLine[],
  { role, evidence: { facts, acknowledged } }: {
    readonly role: string;
    readonly evidence: Evidence;
  },
): readonly string[] {
  const [first] = lines;
  const incarnation = facts.formerTopics.get(first?.topicId ?? "");
  if (incarnation === undefined) return [];
  if (facts.truncatedUntilMs.has(`${role}/${first?.partition}`)) return [];
  const values = new Map(
    acknowledged.filter((it) =>
      it.role === role && it.incarnation === incarnation && it.partition === first?.partition
    ).map(({ offset, sha256 }) => [offset, sha256]),
  );
  return lines.filter(({ offset, value }) => (values.get(offset) ?? value) !== value)
    .map((line) => `${role}/${nameOf(line)} is of another topic`);
}

/**
 * Returns the offset at which the line's mark says the partition was truncated. It is below the line's offset if
 * another member read the part in between.
 */
function truncatedFrom({ partition, mark }: JournalLine): number {
  return Math.min(
    ...[...mark.matchAll(/partition (\d+) was truncated at offset (\d+)/g)]
      .map(([, truncated, from]) => Number(truncated) === partition ? Number(from) : Infinity),
  );
}

/** Checks that a journal holds each record unchanged, and that each held line has its record. */
function compare({ role, id, records }: TopicEvidence, { held, evidence, verdict }: {
  readonly held: readonly Held[];
  readonly evidence: Evidence;
  readonly verdict: Verdict;
}): void {
  const { facts, journals } = evidence;
  verdict.count("records", records.length);
  const members = held.filter((_, index) => journals[index]?.isGuest === false);
  const wasRemoved = ({ partition, offset }: Place) =>
    journals.some(({ removed }) =>
      removed.get(`${id}/${partition}`)?.some(([start, end]) => start <= offset && offset < end)
    );
  const promiseOf = ({ partition }: Place) =>
    facts.truncatedUntilMs.has(`${role}/${partition}`)
      ? PROMISES.truncated
      : facts.incarnations[role] > 0
      ? PROMISES.recreated
      : PROMISES.once;
  const skipped = skippedBy(held, facts);
  const missing = records.filter((record) =>
    !members.some((each) => each.has(nameOf(record))) && !wasRemoved(record) &&
    record.offset >= (skipped.get(record.partition) ?? 0)
  );
  for (const [promise, cases] of Map.groupBy(missing, promiseOf)) {
    verdict.violate(promise, cases.map((record) => `missing ${role}/${nameOf(record)}`));
  }
  const changed = records.filter((record) =>
    held.some((each) => {
      const line = each.get(nameOf(record));
      return line !== undefined && (line.value !== record.value || line.details !== record.details);
    })
  );
  verdict.violate(PROMISES.once, changed.map((record) => `changed ${role}/${nameOf(record)}`));
  const inTopic = new Set(records.map(nameOf));
  // A member that no longer reads a truncated partition, or a guest that has left, does not know of the truncation.
  const foreign = held.flatMap((each) => [...each.values()]).filter((line) =>
    !inTopic.has(nameOf(line)) && !facts.truncatedUntilMs.has(`${role}/${line.partition}`)
  );
  const alone = facts.memberCount === 1 ? [...members[0]?.values() ?? []] : [];
  const unnoticed = alone.filter((line) => !inTopic.has(nameOf(line)) && !foreign.includes(line));
  verdict.violate(PROMISES.once, foreign.map((line) => `no such record: ${role}/${nameOf(line)}`));
  verdict.violate(
    PROMISES.truncated,
    unnoticed.map((line) => `not superseded: ${role}/${nameOf(line)}`),
  );
}

/**
 * Returns the offset below which a partition need not be journaled. After a topic is recreated, an operator may
 * commit offsets beyond the last record read. The tracker continues there and writes a mark.
 */
function skippedBy(held: readonly Held[], { groupWasReset }: Facts): ReadonlyMap<number, number> {
  const skipped = new Map<number, number>();
  for (
    const { partition, mark } of groupWasReset ? held.flatMap((each) => [...each.values()]) : []
  ) {
    const [, offset = 0] = /offset (\d+) was committed by another program/.exec(mark) ?? [];
    skipped.set(partition, Math.max(skipped.get(partition) ?? 0, Number(offset)));
  }
  return skipped;
}

function judgeAcknowledged(
  { role, records, heldBack }: TopicEvidence,
  { facts, acknowledged, producers }: Evidence,
  verdict: Verdict,
): void {
  const values = new Map(
    [...records, ...heldBack].map((it) => [`${it.partition}/${it.offset}`, it.value]),
  );
  const mustBeThere = [...acknowledged, ...producers.flatMap(({ ledger }) => ledger)].filter((it) =>
    it.role === role && it.incarnation === facts.incarnations[role] &&
    it.sentAtMs > (facts.truncatedUntilMs.get(`${role}/${it.partition}`) ?? -1)
  );
  verdict.count("acknowledged records", mustBeThere.length);
  const gone = mustBeThere.filter((it) => values.get(`${it.partition}/${it.offset}`) !== it.sha256);
  verdict.violate(
    PROMISES.acknowledged,
    gone.map(({ partition, offset, sha256 }) =>
      `${role}/${partition}/${offset} is ${values.get(`${partition}/${offset}`)} and was ${sha256}`
    ),
  );
}

/**
 * Reports whether `tracker verify` found nothing but two excused effects, which it reports with code 1: after a member
 * died, two journals have some of the records; and a log that lost the end of a transaction holds back everything
 * after it forever.
 */
function isVerified({ role, heldBack, verified }: TopicEvidence, facts: Facts): boolean {
  if (verified.startsWith("code 0: ")) return true;
  if (!verified.startsWith("code 1: {")) return false;
  const found = JSON.parse(verified.slice("code 1: ".length));
  const { missing, mismatched, unexplained, out_of_order } = found;
  const isHeldBack = ({ partition }: { readonly partition: number }) =>
    facts.truncatedUntilMs.has(`${role}/${partition}`) &&
    heldBack.some((record) => record.partition === partition);
  const partitions: readonly { partition: number; undecided: number }[] = found.partitions;
  if (!partitions.every((each) => each.undecided === 0 || isHeldBack(each))) return false;
  const faults = missing + mismatched + unexplained + out_of_order;
  return faults === 0 && found.duplicated === found.duplicated_across_journals;
}

/**
 * A producer's orders must be in each partition in the order of its ledger, without duplicates. A killed producer may
 * have deliberately sent another copy of an order that its ledger does not list. Empty values come from others, too.
 */
function judgeProducers({ role, records }: TopicEvidence, evidence: Evidence, verdict: Verdict) {
  const { facts, producers } = evidence;
  const wasSentBack = ({ headers }: TopicRecord) => headers.has("orderflow.redriven.from");
  const originals = Map.groupBy(records.filter((it) => !wasSentBack(it)), ({ value }) => value);
  for (const { name, ledger: whole, accounts } of producers) {
    const ledger = whole.filter((it) =>
      it.role === role && it.incarnation === facts.incarnations[role] &&
      !facts.truncatedUntilMs.has(`${role}/${it.partition}`)
    );
    const own = Map.groupBy(ledger, ({ sha256 }) => sha256);
    const repeated = [...own].filter(([sha256, entries]) =>
      accounts !== undefined && sha256 !== EMPTY_SHA256 &&
      (originals.get(sha256)?.length ?? 0) > entries.length
    );
    const last = new Map<number, number>();
    const unordered = ledger.filter(({ partition, offset }) => {
      const isAfter = offset > (last.get(partition) ?? -1);
      last.set(partition, offset);
      return !isAfter;
    });
    const wrong = [...repeated.flatMap(([, entries]) => entries), ...unordered];
    verdict.violate(
      PROMISES.order,
      wrong.map((it) => `${name}: ${role}/${it.partition}/${it.offset}`),
    );
  }
}

function sourceOf({ headers }: TopicRecord): string {
  const of = (name: string) => headers.get(name) ?? "?";
  const [partition, offset] = ["partition", "offset"].map((it) => of(`__connect.errors.${it}`));
  const epoch = of("orderflow.source.leader.epoch");
  const id = of("orderflow.source.topic.id");
  return `${partition}/${offset} of epoch ${epoch} of ${id}`;
}

function judgeLetters({ id, letters, records, role }: TopicEvidence, { held, evidence, verdict }: {
  readonly held: readonly Held[];
  readonly evidence: Evidence;
  readonly verdict: Verdict;
}): void {
  const { facts } = evidence;
  verdict.count("dead letters", letters.length);
  const lines = held.flatMap((each) => [...each.values()]);
  const bySource = Map.groupBy(letters, sourceOf);
  const bad = lines.filter(({ isBad }) => isBad);
  const inTopic = new Set(records.map(nameOf));
  // A record lost by its log before its letter was sent is never read again.
  const wasLost = (line: JournalLine) =>
    facts.truncatedUntilMs.has(`${role}/${line.partition}`) && !inTopic.has(nameOf(line));
  const missing = bad.filter((line) => !bySource.has(`${nameOf(line)} of ${id}`) && !wasLost(line));
  const lettersAreGone = facts.lettersWereDeleted && role === "main" || facts.lettersAreCompacted;
  if (!lettersAreGone) {
    verdict.violate(PROMISES.bad, missing.map((line) => `no letter of ${role}/${nameOf(line)}`));
  }
  const changed = lines.filter((line) =>
    bySource.get(`${nameOf(line)} of ${id}`)?.some(({ value, headers }) =>
      value !== line.value && !headers.has("orderflow.errors.adapted")
    )
  );
  verdict.violate(PROMISES.bad, changed.map((line) => `changed letter of ${role}/${nameOf(line)}`));
}

/** Each source record must have been sent back at most once, and exactly once if its letter is complete. */
function judgeRedrive(
  { role, letters, redrives, redriven }: TopicEvidence,
  { facts }: Evidence,
  verdict: Verdict,
): void {
  const failed = redrives.filter((it) => !it.startsWith("code 0: "));
  if (!facts.lettersWereDeleted) verdict.violate(PROMISES.redrive, failed);
  const sources = new Map(letters.map((it) => [`${it.partition}/${it.offset}`, sourceOf(it)]));
  const sent = redriven.flatMap(({ headers }) => {
    const from = headers.get("orderflow.redriven.from")?.split("/").slice(-2).join("/") ?? "";
    return sources.get(from) ?? [];
  });
  verdict.count("redriven records", sent.length);
  if (facts.lettersWereDeleted && role === "main") return; // the letters' offsets are from different topics then
  const twice = sent.filter((source, index) => sent.indexOf(source) !== index);
  verdict.violate(PROMISES.redrive, twice.map((source) => `twice ${role}/${source}`));
  const wasLost = facts.incarnations[role] > 0 ||
    [...facts.truncatedUntilMs.keys()].some((place) => place.startsWith(role));
  if (wasLost) return; // records sent back before that may be gone
  const missing = letters.filter((letter) =>
    !sent.includes(sourceOf(letter)) &&
    ![...letter.headers.keys()].some((name) => name.startsWith("orderflow.errors.omitted."))
  );
  verdict.violate(PROMISES.redrive, missing.map((letter) => `never ${role}/${sourceOf(letter)}`));
}

function judgeAccounts({ producers }: Evidence, verdict: Verdict): void {
  const wrong = producers.filter(({ accounts, ledger }) => {
    if (accounts === undefined) return false;
    const { generated = 0, acknowledged = 0, failed = 0, undelivered = 0, unknown = 0 } = accounts;
    const sum = acknowledged + failed + undelivered + unknown;
    return generated !== sum || ledger.length !== acknowledged;
  });
  verdict.violate(
    PROMISES.accounts,
    wrong.map((it) => `${it.name}: ${JSON.stringify(it.accounts)}`),
  );
}
