import assert from "node:assert/strict";
import { type Program, startProgram } from "../../../dev/programs.ts";
import { countJournalLines, type Site, until } from "../../site.ts";
import { logged } from "../../faults/fault_site.ts";
import { sendTo, untilHeld } from "../../faults/group_site.ts";
import { ALICE, allow } from "../secured_broker.ts";
import { broker, brokerTest, type Environment, PLAIN, securedSite } from "../secured_site.ts";
import { trackerPermissions } from "./documented_permissions.ts";

async function startTracker(site: Site, address: string, env: Environment): Promise<Program> {
  const cluster = ["--broker", address, "--topic", site.topic, "--group", site.group];
  const args = [...cluster, "--dead-letters", "none", "--quiet"];
  return await startProgram("tracker", args, { cwd: site.folder, env });
}

async function stop(tracker: Program): Promise<void> {
  tracker.signal("SIGTERM");
  assert.equal(await tracker.exitCode, 0, tracker.output.stderr);
}

/**
 * Goal: a topic of another member that the group's leader may not describe is not an error for the group.
 * Method: a tracker whose user may use only one topic leads the group; a tracker of another topic joins. Then the
 * first one leaves.
 * Invariants: the leader reads its topic; the other one reports that its partitions are unassigned, reads them once
 * it leads, and reports the end.
 */
brokerTest(
  "a topic that the group's leader may not describe is reported as unassigned, and is not an error for the group",
  async () => {
    await using one = await securedSite({ partitions: 2 });
    await using other = { ...await securedSite({ partitions: 2 }), group: one.group };
    await allow(broker, ALICE.username, trackerPermissions(one));
    const leader = await startTracker(one, broker.sasl, PLAIN);
    await untilHeld(one, [2]);
    const member = await startTracker(other, broker.plain, {});
    try {
      await until("it is reported", () => logged(other.logs, /are unassigned/).length > 0);
      const [report] = logged(other.logs, /are unassigned/);
      assert.deepEqual(report?.metadata?.["partitions"], [0, 1]);
      for (const site of [one, other]) await sendTo(site, [0, 1], { count: 10 });
      await until("the leader reads its topic", () => countJournalLines(one.logs) === 20);
      assert.deepEqual(logged(one.logs, /unassigned/), []);
      await stop(leader);
      await until("the other tracker reads its own", () => countJournalLines(other.logs) === 20);
      await until(
        "the end is reported",
        () => logged(other.logs, /topic are assigned again/).length > 0,
      );
      await stop(member);
    } finally {
      for (const tracker of [leader, member]) tracker.signal("SIGKILL");
    }
  },
);
