import assert from "node:assert/strict";
import { liveBroker } from "../live_broker.ts";
import { createSite, until } from "../site.ts";
import { search } from "./journal_site.ts";

await liveBroker();

const COUNT = 3_000;

Deno.test("a search reads a journal while a tracker writes, closes, and compresses its segments", async () => {
  await using site = await createSite();
  const tracker = await site.start("tracker", ["--rotate", "200kB", "--compress", "--quiet"]);
  const producer = await site.start("producer", [
    "--rate",
    "1000",
    "--count",
    `${COUNT}`,
    "--quiet",
  ]);
  let last: readonly string[] = [];
  let searchCount = 0;
  await until("all orders are found", async () => {
    const { places, problems } = await search(site.logs, { text: "CUST-" }).catch(() =>
      assert.fail()
    );
    const isStarting = problems.length === 1 && problems[0]?.startsWith("no journal in");
    assert.ok(problems.length === 0 || isStarting && last.length === 0, problems.join("\n"));
    assert.deepEqual(places.slice(0, last.length), last, "earlier matches are found again");
    assert.equal(new Set(places).size, places.length);
    last = places;
    searchCount++;
    return places.length === COUNT;
  });
  assert.ok(searchCount > 1);
  assert.equal(await producer.exitCode, 0);
  tracker.signal("SIGINT");
  await tracker.exitCode;
  // The tracker's manifests contain the range of their records' timestamps.
  const { places, skippedCount } = await search(site.logs, { times: { min: 0, max: 1 } });
  assert.deepEqual(places, []);
  assert.ok(skippedCount > 5, `${skippedCount} segments skipped`);
});
