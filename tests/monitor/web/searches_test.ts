import assert from "node:assert/strict";
import { Follower } from "../../../lib/monitor/follow.ts";
import type { JournalSearch } from "../../../lib/monitor/search.ts";
import { Searches } from "../../../lib/monitor/web/searches.ts";
import { until } from "../../site.ts";
import { Logs } from "../logs.ts";

/** A follower that tracks which searches are running. */
class WatchedFollower extends Follower {
  readonly running = new Set<string | undefined>();
  override search(query: JournalSearch["query"]): JournalSearch {
    this.running.add(query.text);
    return super.search(query);
  }
  override endSearch(search: JournalSearch): void {
    this.running.delete(search.query.text);
    super.endSearch(search);
  }
}

Deno.test("Searches reuses a running search and keeps the latest four", () => {
  using logs = new Logs();
  using follower = new WatchedFollower(logs.path);
  using searches = new Searches(follower);
  for (const text of ["a", "b", "c", undefined, "a", "d"]) searches.look(text);
  assert.deepEqual([...follower.running], ["a", "c", undefined, "d"]);
  searches[Symbol.dispose]();
  assert.deepEqual([...follower.running], []);
});

Deno.test("Searches ends a search that nobody polls any more", async () => {
  using logs = new Logs();
  using follower = new WatchedFollower(logs.path);
  using searches = new Searches(follower, 30);
  searches.look("a");
  await until("the search has ended", () => follower.running.size === 0);
});
