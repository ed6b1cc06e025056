import assert from "node:assert/strict";
import { assertJournalIsTopic, countJournalLines, type Site, until } from "../../site.ts";
import { allow, SCRAM_USER, SESSION_MS, setPassword } from "../secured_broker.ts";
import { assertNoSecret, broker, brokerTest, SCRAM, securedSite } from "../secured_site.ts";
import { producerPermissions, trackerPermissions } from "./documented_permissions.ts";

const SESSIONS = 3;
const ORDERS_A_SECOND = 200;

async function untilJournalGrows(site: Site, lineCount: number): Promise<void> {
  const before = countJournalLines(site.logs);
  await until("the journal grows", () => countJournalLines(site.logs) >= before + lineCount);
}

/**
 * Goal: nobody notices the end of a session, and a changed password stops the work without losing a record.
 * Method: the broker ends each session after 3 s; producer and tracker run through several; then the user's password
 * is changed, until both programs have reported it, and changed back.
 * Invariants: no warning while sessions are renewed; each program reports the problem, the producer once; all orders
 * are acknowledged; topic and journal agree byte for byte.
 */
brokerTest(
  "sessions that expire under load, and a password changed and changed back: nothing lost, nothing repeated",
  async () => {
    await using site = await securedSite({ programs: broker.expiring, env: SCRAM });
    await allow(broker, SCRAM_USER.username, [
      ...producerPermissions(site),
      ["TOPIC", site.topic, "READ"],
      ...trackerPermissions(site),
    ]);
    const producer = await site.start("producer", ["--rate", String(ORDERS_A_SECOND), "--json"]);
    const tracker = await site.start("tracker", ["--json"]);
    await untilJournalGrows(site, SESSIONS * SESSION_MS / 1_000 * ORDERS_A_SECOND);
    for (const { output } of [producer, tracker]) assert.doesNotMatch(output.stderr, /WARN|ERROR/);

    try {
      await setPassword(broker, { ...SCRAM_USER, password: "another-password" });
      await until(
        "both programs report the wrong password",
        () =>
          [producer, tracker].every(({ output }) =>
            /WARN .*the password is wrong/.test(output.stderr)
          ),
      );
    } finally {
      await setPassword(broker, SCRAM_USER);
    }
    await untilJournalGrows(site, ORDERS_A_SECOND);

    producer.signal("SIGTERM");
    assert.equal(await producer.exitCode, 0, producer.output.stderr);
    const { generated, acknowledged } = JSON.parse(producer.output.stdout);
    assert.equal(acknowledged, generated);
    await until("all orders are journaled", () => countJournalLines(site.logs) >= acknowledged);
    tracker.signal("SIGTERM");
    assert.equal(await tracker.exitCode, 0, tracker.output.stderr);
    assert.equal((await assertJournalIsTopic(site)).length, acknowledged);
    const refusals = producer.output.stderr.match(/WARN .*the password is wrong/g) ?? [];
    assert.equal(refusals.length, 1, "the producer reports it once");
    assertNoSecret(producer.output.stderr + tracker.output.stderr);
  },
);
