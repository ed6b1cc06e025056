import assert from "node:assert/strict";
import { join } from "node:path";
import { liveBroker } from "../live_broker.ts";
import { createSite } from "../site.ts";

await liveBroker();

Deno.test("tracker verify --ledger checks acknowledged records against the topic and the journal", async () => {
  await using site = await createSite();
  await Deno.mkdir(site.logs);
  const produced = await site.run("producer", [
    ...["--count", "3000", "--rate", "max", "--json", "--ledger", "logs/ledger.jsonl"],
  ]);
  assert.equal(produced.code, 0, produced.stderr);
  await site.run("tracker", ["--exit-at-end", "--json"]);
  const path = join(site.logs, "ledger.jsonl");

  const whole = await site.run("tracker", ["verify", "--json", "--ledger", path]);
  assert.equal(whole.code, 0, whole.stdout + whole.stderr);
  const { entries, in_topic, different, missing } = JSON.parse(whole.stdout).ledger;
  assert.deepEqual([entries, in_topic, different, missing], [3_000, 3_000, 0, 0]);

  // A ledger with an additional record and a different value fails.
  const lines = (await Deno.readTextFile(path)).trimEnd().split("\n").map((line) =>
    JSON.parse(line)
  );
  const last = lines.at(-1);
  lines[0].sha256 = last.sha256;
  lines.push({ ...last, offset: last.offset + 10_000 });
  await Deno.writeTextFile(path, lines.map((line) => JSON.stringify(line) + "\n").join(""));
  const broken = await site.run("tracker", ["verify", "--json", "--ledger", path]);
  assert.equal(broken.code, 1);
  const judged = JSON.parse(broken.stdout);
  assert.equal(judged.ok, false);
  assert.deepEqual([judged.ledger.different, judged.ledger.missing], [1, 1]);
});
