import assert from "node:assert/strict";
import { AclPermissionTypes } from "kafkajs";
import type { Site } from "../../site.ts";
import { ALICE, allow, type Permission, SCRAM_USER } from "../secured_broker.ts";
import {
  broker,
  brokerTest,
  errorLine,
  PLAIN,
  produceOne,
  runIn,
  SCRAM,
  securedSite,
  trackToEnd,
} from "../secured_site.ts";
import {
  producerPermissions,
  redrivePermissions,
  trackerPermissions,
} from "./documented_permissions.ts";

/** With the client's own request about a group it was 16 s. */
const REFUSAL_MS_MAX = 8_000;

const MISSING: readonly {
  readonly what: string;
  readonly run: typeof produceOne;
  readonly permissions: (site: Site) => readonly Permission[];
  readonly message: (site: Site) => string;
}[] = [
  {
    what: "anything on the topic",
    run: produceOne,
    permissions: () => [],
    message: ({ topic }) => `refuses to describe topic "${topic}": TOPIC_AUTHORIZATION_FAILED`,
  },
  {
    what: "Write on the topic",
    run: produceOne,
    permissions: ({ topic }) => [["TOPIC", topic, "DESCRIBE"]],
    message: ({ topic }) => `topic "${topic}" exists, but this user has no Write permission`,
  },
  {
    what: "Read on the topic",
    run: trackToEnd,
    permissions: (site) => without(trackerPermissions(site), site.topic, "READ"),
    message: ({ topic }) => `topic "${topic}" exists, but this user has no Read permission`,
  },
  {
    what: "Read on the group",
    run: trackToEnd,
    permissions: (site) => without(trackerPermissions(site), site.group, "READ"),
    message: ({ group }) => `using group "${group}" failed: .*Read permission on the group`,
  },
  {
    what: "Create for a dead-letter topic that is missing",
    run: trackToEnd,
    permissions: (site) => without(trackerPermissions(site), site.deadLetterTopic, "CREATE"),
    message: ({ deadLetterTopic }) => `creating topic "${deadLetterTopic}" failed: .*permission`,
  },
  {
    what: "Write on the dead-letter topic, though no record is bad",
    run: trackToEnd,
    permissions: (site) => without(trackerPermissions(site), site.deadLetterTopic, "WRITE"),
    message: ({ deadLetterTopic }) =>
      `topic "${deadLetterTopic}" exists, but this user has no Write permission`,
  },
];

function without(
  permissions: readonly Permission[],
  resource: string,
  operation: Permission[2],
): readonly Permission[] {
  return permissions.filter(([, name, each]) => name !== resource || each !== operation);
}

for (const { what, run, permissions, message } of MISSING) {
  brokerTest(`without the permission ${what}: refused by name soon after the start`, async () => {
    await using site = await securedSite({ partitions: 1 });
    await allow(broker, ALICE.username, permissions(site));
    const startedAtMs = performance.now();
    const ended = await run(site, PLAIN);
    assert.equal(ended.code, 1, ended.stderr);
    assert.match(errorLine(ended), new RegExp(message(site)));
    assert.match(errorLine(ended), /ask the cluster's operator/);
    assert.ok(performance.now() - startedAtMs < REFUSAL_MS_MAX);
  });
}

brokerTest(
  "a tracker that may read a topic but not describe it is refused at the start, by name",
  async () => {
    await using site = await securedSite({ partitions: 1 });
    await allow(broker, ALICE.username, trackerPermissions(site));
    const describe: Permission = ["TOPIC", site.topic, "DESCRIBE"];
    await allow(broker, ALICE.username, [describe], AclPermissionTypes.DENY);
    const ended = await trackToEnd(site, PLAIN);
    assert.equal(ended.code, 1, ended.stderr);
    assert.match(
      errorLine(ended),
      new RegExp(`describe topic "${site.topic}".*Describe permission`),
    );
  },
);

brokerTest(
  "tracker redrive sends letters back with the documented ACLs, and is refused if one is missing",
  async () => {
    await using site = await securedSite({ partitions: 1 });
    const { username } = SCRAM_USER;
    await allow(broker, username, [...producerPermissions(site), ...trackerPermissions(site)]);
    const produced = await runIn(site, "producer", {
      args: [
        ...["--broker", broker.sasl, "--topic", site.topic, "--rate", "max", "--count", "40"],
        ...["--bad", "20"],
      ],
      env: SCRAM,
    });
    assert.equal(produced.code, 0, produced.stderr);
    const tracked = await trackToEnd(site, SCRAM);
    assert.equal(tracked.code, 0, tracked.stderr);
    const letters = JSON.parse(tracked.stdout).dead_lettered;
    assert.ok(letters > 0);

    const redrive = () =>
      runIn(site, "tracker", {
        args: [
          ...["redrive", "--broker", broker.sasl, "--topic", site.topic, "--json"],
          ...["--dead-letters", site.deadLetterTopic],
        ],
        env: PLAIN,
      });
    const needed = redrivePermissions(site);
    await allow(broker, ALICE.username, needed.slice(0, -1));
    const refused = await redrive();
    assert.equal(refused.code, 1, refused.stderr);
    assert.match(
      errorLine(refused),
      /using the transactional id .*ask the cluster's operator.*Write/,
    );
    await allow(broker, ALICE.username, needed.slice(-1));
    const redriven = await redrive();
    assert.equal(redriven.code, 0, redriven.stderr);
    assert.equal(JSON.parse(redriven.stdout).redriven, letters);
  },
);
