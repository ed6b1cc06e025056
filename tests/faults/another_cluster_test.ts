import assert from "node:assert/strict";
import { liveBroker } from "../live_broker.ts";
import { createSite, readJournal, readTopic } from "../site.ts";
import {
  assertAllCommitted,
  assertHolds,
  assertMarkedAsCreatedAgain,
  brokerOfFile,
  byTopicId,
  fill,
  logged,
  marksOf,
  trackToEnd,
} from "./fault_site.ts";

/** Each broker has its own folder, and therefore its own cluster id. */
const here = await liveBroker();
const there = await brokerOfFile();

/**
 * Goal: a topic of the same name on another cluster is not confused with the one that the journal holds.
 * Method: a run on one cluster; one on the other with the same topic, group, and folder, and fewer or more records;
 * then the first again, with more records.
 * Invariants: the journal has all records of both topics, each once, distinguished by topic id; the first line of
 * each partition of the second is marked, and no line of the first; the log reports it; everything is committed on
 * both.
 */
for (
  const { title, countThere } of [
    { title: "fewer", countThere: 300 },
    { title: "more", countThere: 2_000 },
  ]
) {
  Deno.test(`a topic of the same name with ${title} records on another cluster: both journaled completely, each record once, with a mark`, async () => {
    await using first = await createSite({ broker: here.address });
    await using second = await createSite({ broker: there.address, namesakeOf: first });
    await Promise.all([
      fill(first, { count: 1_000 }),
      fill(second, { count: countThere }),
    ]);
    await trackToEnd(first);
    await trackToEnd(second);
    assert.notEqual(logged(first.logs, /not continue at/).length, 0, "the log reports it");
    await fill(first, { count: 300 });
    const { received } = await trackToEnd(first);
    assert.equal(received, 300, "on the first cluster reading continues where it stopped");

    const [lines, others, ...more] = byTopicId(await readJournal(first.logs));
    assert.equal(more.length, 0);
    assertHolds(lines ?? [], await readTopic(first));
    assertHolds(others ?? [], await readTopic(second));
    assertMarkedAsCreatedAgain(others ?? []);
    assert.deepEqual(marksOf(lines ?? []), []);
    await assertAllCommitted(first);
    await assertAllCommitted(second);
  });
}
