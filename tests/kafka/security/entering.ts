import assert from "node:assert/strict";
import { join } from "node:path";
import { allow, SCRAM_USER } from "../secured_broker.ts";
import {
  assertNoSecret,
  broker,
  brokerTest,
  PLAIN,
  produceOne,
  runIn,
  securedSite,
  TRUST,
} from "../secured_site.ts";
import { producerPermissions, trackerPermissions } from "./documented_permissions.ts";

brokerTest(
  "producer, tracker and verify over SASL_SSL with SCRAM and the documented ACLs, by --config",
  async () => {
    await using site = await securedSite();
    const { username, password } = SCRAM_USER;
    await allow(broker, username, [...producerPermissions(site), ...trackerPermissions(site)]);
    await Deno.writeTextFile(
      join(site.folder, "config", "client.properties"),
      `# as Kafka's own tools take it
bootstrap.servers=${broker.sasl}
security.protocol = SASL_SSL
sasl.mechanism: SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\
    username="${username}" \\
    password="${password}";
ssl.truststore.type=PEM
ssl.truststore.location=config/ca.pem
`,
    );
    const usual = ["--config", "config/client.properties", "--topic", site.topic, "--json"];
    const runs = [
      await runIn(site, "producer", {
        args: [...usual, "--rate", "max", "--count", "500", "--bad", "4"],
        env: {},
      }),
      await runIn(site, "tracker", {
        args: [
          ...usual,
          ...["--group", site.group, "--dead-letters", site.deadLetterTopic, "--exit-at-end"],
        ],
        env: {},
      }),
      await runIn(site, "tracker", { args: ["verify", ...usual], env: {} }),
    ];
    for (const { code, stderr } of runs) assert.equal(code, 0, stderr);
    const [produced, tracked, verified] = runs.map(({ stdout }) => JSON.parse(stdout));
    assert.equal(produced.acknowledged, 500);
    assert.equal(tracked.received, 500);
    assert.ok(tracked.dead_lettered > 0);
    assert.equal(verified.ok, true);
    assertNoSecret(await Deno.readTextFile(join(site.folder, "logs", "tracker.log")));
  },
);

brokerTest("user, password, and authority are read from the environment", async () => {
  await using site = await securedSite({ partitions: 1 });
  await allow(broker, PLAIN["KAFKA_SASL_USERNAME"] ?? "", producerPermissions(site));
  const { code, stderr } = await produceOne(site, PLAIN);
  assert.equal(code, 0, stderr);
});

brokerTest("a client certificate is presented if the broker requires one", async () => {
  await using site = await securedSite({ partitions: 1 });
  await allow(broker, "CN=client", producerPermissions(site));
  const own = { KAFKA_SSL_CERT: "config/client.crt", KAFKA_SSL_KEY: "config/client.key" };
  const { code, stderr } = await produceOne(site, { ...TRUST, ...own }, broker.mutual);
  assert.equal(code, 0, stderr);
});

brokerTest(
  "an address that does not resolve is reported, and the next one in the list is used",
  async () => {
    await using site = await securedSite({ partitions: 1 });
    const unresolved = Array.from(
      { length: 5 },
      (_, index) => `no-such-host-${index}.invalid:9092`,
    );
    const { code, stderr } = await produceOne(site, {}, [...unresolved, broker.plain].join(","));
    assert.equal(code, 0, stderr);
    assert.match(stderr, /WARN .*Cannot resolve .*host.*no-such-host-4\.invalid/);
  },
);
