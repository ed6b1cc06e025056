import assert from "node:assert/strict";
import { join } from "node:path";
import { startProgram } from "../../lib/dev/programs.ts";
import { parseProperties } from "../../lib/kafka/properties.ts";
import { securityOf } from "../../lib/kafka/security.ts";
import { createSite, type Ended, type Site } from "../site.ts";
import {
  ALICE,
  allow,
  isInstalled,
  NO_BROKER,
  type Permission,
  SCRAM_USER,
  startSecuredBroker,
} from "./secured_broker.ts";

/** Certificates are made with it. Without it the tests on a broker are skipped. */
const hasOpenssl = await isInstalled("openssl");
const broker = hasOpenssl ? await startSecuredBroker() : NO_BROKER;

/** A run that a wrong setting must end at once. */
const REFUSAL_MS_MAX = 20_000;
const RUN_MS_MAX = 40_000;

function brokerTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !hasOpenssl, fn });
}

type Environment = Readonly<Record<string, string>>;
const TRUST: Environment = { KAFKA_SSL_CA: "config/ca.pem" };
const PLAIN: Environment = {
  ...TRUST,
  KAFKA_SASL_MECHANISM: "PLAIN",
  KAFKA_SASL_USERNAME: ALICE.username,
  KAFKA_SASL_PASSWORD: ALICE.password,
};

/** A site whose folder `config` has the PEM files. */
async function securedSite(options: { partitions?: number } = {}): Promise<Site> {
  const site = await createSite({ broker: broker.plain, ...options });
  await Deno.mkdir(join(site.folder, "config"));
  for (const name of ["ca.pem", "stranger.pem", "client.crt", "client.key"]) {
    await Deno.copyFile(join(broker.folder, name), join(site.folder, "config", name));
  }
  return site;
}

async function runIn(
  site: Site,
  name: "producer" | "tracker",
  { args, env }: { args: readonly string[]; env: Environment },
): Promise<Ended> {
  const program = await startProgram(name, [...args], { cwd: site.folder, env });
  const timer = setTimeout(() => program.signal("SIGKILL"), RUN_MS_MAX);
  const code = await program.exitCode;
  clearTimeout(timer);
  return { code, ...program.output };
}

async function produceOne(site: Site, env: Environment, address = broker.sasl): Promise<Ended> {
  const args = ["--topic", site.topic, "--count", "1", "--rate", "max", "--log-level", "debug"];
  return await runIn(site, "producer", { args: ["--broker", address, ...args], env });
}

function producerPermissions({ topic }: Site): readonly Permission[] {
  return [["TOPIC", topic, "WRITE"], ["TOPIC", topic, "DESCRIBE"]];
}

function trackerPermissions(site: Site): readonly Permission[] {
  return [
    ["TOPIC", site.topic, "READ"],
    ["TOPIC", site.topic, "DESCRIBE"],
    ["GROUP", site.group, "READ"],
    ["TOPIC", site.deadLetterTopic, "CREATE"],
    ["TOPIC", site.deadLetterTopic, "DESCRIBE"],
    ["TOPIC", site.deadLetterTopic, "WRITE"],
  ];
}

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
    const usual = [
      "--config",
      "config/client.properties",
      "--topic",
      site.topic,
      "--log-level",
      "debug",
    ];
    const runs = [
      await runIn(site, "producer", {
        args: [...usual, "--rate", "max", "--count", "500", "--bad", "4", "--json"],
        env: {},
      }),
      await runIn(site, "tracker", {
        args: [
          ...usual,
          "--group",
          site.group,
          "--dead-letters",
          site.deadLetterTopic,
          "--exit-at-end",
          "--json",
        ],
        env: {},
      }),
      await runIn(site, "tracker", { args: ["verify", ...usual, "--json"], env: {} }),
    ];
    for (const { code, stderr } of runs) assert.equal(code, 0, stderr);
    const [produced, tracked, verified] = runs.map(({ stdout }) => JSON.parse(stdout));
    assert.equal(produced.acknowledged, 500);
    assert.equal(tracked.received, 500);
    assert.ok(tracked.dead_lettered > 0);
    assert.equal(verified.ok, true);
    const log = await Deno.readTextFile(join(site.folder, "logs", "tracker.log"));
    for (const text of [log, ...runs.flatMap(({ stdout, stderr }) => [stdout, stderr])]) {
      assert.ok(!text.includes(password), "no output has the password");
    }
  },
);

brokerTest("the environment's user, password and authority are taken", async () => {
  await using site = await securedSite({ partitions: 1 });
  await allow(broker, ALICE.username, producerPermissions(site));
  const { code, stderr } = await produceOne(site, PLAIN);
  assert.equal(code, 0, stderr);
  assert.ok(!stderr.includes(ALICE.password));
});

brokerTest("a client certificate is shown where the broker asks for one", async () => {
  await using site = await securedSite({ partitions: 1 });
  await allow(broker, "CN=client", producerPermissions(site));
  const own = { KAFKA_SSL_CERT: "config/client.crt", KAFKA_SSL_KEY: "config/client.key" };
  const { code, stderr } = await produceOne(site, { ...TRUST, ...own }, broker.mutual);
  assert.equal(code, 0, stderr);
});

const REFUSALS: readonly {
  readonly of: string;
  readonly env: Environment;
  readonly address?: string;
  readonly message: RegExp;
}[] = [
  {
    of: "a wrong password",
    env: { ...PLAIN, KAFKA_SASL_PASSWORD: "not-the-password" },
    message: /user name or the password is wrong.*KAFKA_SASL_USERNAME/i,
  },
  {
    of: "a wrong password (SCRAM)",
    env: {
      ...PLAIN,
      KAFKA_SASL_MECHANISM: "SCRAM-SHA-512",
      KAFKA_SASL_USERNAME: SCRAM_USER.username,
      KAFKA_SASL_PASSWORD: "not-the-password",
    },
    message: /user name or the password is wrong.*KAFKA_SASL_USERNAME/i,
  },
  {
    of: "a broker certificate of an authority that is not trusted",
    env: { ...PLAIN, KAFKA_SSL_CA: "config/stranger.pem" },
    message: /certificate.*KAFKA_SSL_CA/is,
  },
  {
    of: "a broker certificate for another name",
    env: PLAIN,
    address: broker.sasl.replace("127.0.0.1", "localhost"),
    message: /certificate.*name/is,
  },
  {
    of: "no client certificate",
    env: TRUST,
    address: broker.mutual,
    message: /certificate.*KAFKA_SSL_CERT/is,
  },
  { of: "no TLS to a TLS port", env: {}, message: /KAFKA_SECURITY_PROTOCOL/ },
  {
    of: "TLS to a plain port",
    env: TRUST,
    address: broker.plain,
    message: /TLS.*KAFKA_SECURITY_PROTOCOL/is,
  },
];

for (const { of, env, address, message } of REFUSALS) {
  brokerTest(`${of}: refused in one plain line, soon`, async () => {
    await using site = await securedSite({ partitions: 1 });
    const startedAtMs = performance.now();
    const { code, stderr } = await produceOne(site, env, address);
    const last = stderr.trimEnd().split("\n").find((line) => line.startsWith("error: ")) ?? "";
    assert.equal(code, 1, stderr);
    assert.match(last, message);
    assert.ok(performance.now() - startedAtMs < REFUSAL_MS_MAX);
    assert.ok(!stderr.includes("not-the-password"));
  });
}

brokerTest("each missing permission is named, with what it is for", async () => {
  await using site = await securedSite({ partitions: 1 });
  assert.equal((await produceOne(site, {}, broker.plain)).code, 0);
  const none = await produceOne(site, PLAIN);
  assert.equal(none.code, 1);
  assert.match(none.stderr, new RegExp(`error: .*"${site.topic}".*permission`, "s"));
  await allow(broker, ALICE.username, [["TOPIC", site.topic, "READ"], [
    "TOPIC",
    site.topic,
    "DESCRIBE",
  ]]);
  const { code, stderr } = await runIn(site, "tracker", {
    args: [
      "--broker",
      broker.sasl,
      "--topic",
      site.topic,
      "--group",
      site.group,
      "--dead-letters",
      "none",
      "--exit-at-end",
    ],
    env: PLAIN,
  });
  assert.equal(code, 1);
  assert.match(stderr, /error: .*group.*permission/is);
});

Deno.test("parseProperties() reads what java.util.Properties reads", () => {
  const text =
    "# a comment\n! another\n\n  a = 1 \nb:2\nc 3\nd\\ e=f\\u00e9\\n\nlong=x,\\\n   y\nempty=\neven=\\\\\nlast";
  assert.deepEqual([...parseProperties(text)], [
    ["a", "1 "],
    ["b", "2"],
    ["c", "3"],
    ["d e", "fé\n"],
    ["long", "x,y"],
    ["empty", ""],
    ["even", "\\"],
    ["last", ""],
  ]);
});

Deno.test("securityOf() sends no password in plain text unless it is told to", () => {
  const named = new Map([["sasl.mechanism", "PLAIN"], ["username", "u"], ["password", "p"]]);
  assert.ok(securityOf(named, () => "")?.tls !== undefined);
  const told = new Map([...named, ["security.protocol", "SASL_PLAINTEXT"]]);
  assert.equal(securityOf(told, () => "")?.tls, undefined);
  assert.equal(securityOf(new Map(), () => ""), undefined);
});

Deno.test("securityOf() refuses Java's own key stores and encrypted keys, and says what to do", () => {
  const refused = (name: string, value: string) => () =>
    securityOf(new Map([["security.protocol", "SSL"], [name, value]]), () => "");
  assert.throws(refused("ssl.truststore.location", "a.jks"), /expected PEM/);
  assert.throws(
    refused("ssl.key.password", "hush"),
    (error: Error) => /decrypt/.test(error.message) && !error.message.includes("hush"),
  );
});
