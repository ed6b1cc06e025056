/**
 * A real broker with TLS, SASL and ACLs for the tests of one file, beside a plain listener whose anonymous
 * user may do everything: the test's own.
 *
 * @module
 */

import { join } from "node:path";
import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  Kafka,
  ResourcePatternTypes,
} from "kafkajs";
import { startBrokerProcess } from "../../lib/dev/broker_process.ts";
import { kafkaJars } from "../../lib/dev/kafka_jars.ts";
import { freePort } from "../../lib/dev/local_port.ts";
import { deleteSync, killSync } from "../live_broker.ts";

export interface SecuredBroker {
  /** Plain, anonymous, may do everything. */
  readonly plain: string;
  /** `SASL_SSL` */
  readonly sasl: string;
  /** `SSL`, asks for a client certificate. */
  readonly mutual: string;
  /** PEM files and the brokers' data are below it. */
  readonly folder: string;
  readonly kafka: Kafka;
}

export const ALICE = { username: "alice", password: 'alice="s secret;' } as const;
export const SCRAM_USER = { username: "carol", password: "carols-secret" } as const;
const LOOPBACK = "127.0.0.1";

/** Stands in where no broker can be had. */
export const NO_BROKER: SecuredBroker = {
  plain: "",
  sasl: "",
  mutual: "",
  folder: "",
  kafka: new Kafka({ brokers: ["none"], logLevel: 0 }),
};

export async function isInstalled(command: string): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args: ["version"] }).output()).success;
  } catch {
    return false;
  }
}

export async function startSecuredBroker(): Promise<SecuredBroker> {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-secured-" });
  let pid = 0;
  globalThis.addEventListener("unload", () => {
    if (pid !== 0) killSync(pid);
    deleteSync(folder);
  });
  await makeCertificates(folder);
  const [port, saslPort, mutualPort] = [freePort(), freePort(), freePort()];
  const address = (number: number) => `${LOOPBACK}:${number}`;
  const keystore = await Deno.readTextFile(join(folder, "broker.pem"));
  const ca = await Deno.readTextFile(join(folder, "ca.pem"));
  const plainLogin = "org.apache.kafka.common.security.plain.PlainLoginModule required " +
    `user_${ALICE.username}="${ALICE.password.replaceAll('"', '\\"')}";`;
  await Deno.writeTextFile(join(folder, "keystore.pem"), keystore);
  const broker = await startBrokerProcess({
    port,
    dataDir: join(folder, "broker"),
    quickStart: true,
    settings: {
      ...listeners({
        PLAINTEXT: address(port),
        SASL_SSL: address(saslPort),
        SSL: address(mutualPort),
        CONTROLLER: address(freePort()),
      }),
      "ssl.keystore.type": "PEM",
      "ssl.keystore.location": join(folder, "keystore.pem"),
      "ssl.truststore.type": "PEM",
      "ssl.truststore.certificates": ca,
      "listener.name.ssl.ssl.client.auth": "required",
      "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
      "listener.name.sasl_ssl.plain.sasl.jaas.config": plainLogin,
      "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config":
        "org.apache.kafka.common.security.scram.ScramLoginModule required;",
      "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
      "super.users": "User:ANONYMOUS",
    },
  });
  pid = broker.pid;
  await addScramUser(address(port));
  return {
    plain: address(port),
    sasl: address(saslPort),
    mutual: address(mutualPort),
    folder,
    kafka: new Kafka({ brokers: [address(port)], logLevel: 0 }),
  };
}

function listeners(addresses: Readonly<Record<string, string>>): Record<string, string> {
  const urls = Object.entries(addresses).map(([name, address]) => `${name}://${address}`);
  return {
    "listeners": urls.join(","),
    "advertised.listeners": urls.filter((url) => !url.startsWith("CONTROLLER")).join(","),
    "listener.security.protocol.map":
      "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT",
    "controller.quorum.voters": `1@${addresses["CONTROLLER"]}`,
  };
}

/** Two authorities, and certificates of the first for the broker and a client; `expired.pem` is of the past. */
async function makeCertificates(folder: string): Promise<void> {
  await openssl(folder, [
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-days",
    "2",
    "-subj",
    "/CN=orderflow test authority",
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
  ]);
  await openssl(folder, [
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-days",
    "2",
    "-subj",
    "/CN=a stranger",
    "-keyout",
    "stranger.key",
    "-out",
    "stranger.pem",
  ]);
  await Deno.writeTextFile(join(folder, "names.cnf"), `subjectAltName=IP:${LOOPBACK}\n`);
  for (const name of ["broker", "client"]) {
    await openssl(folder, [
      "req",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-subj",
      `/CN=${name}`,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.csr`,
    ]);
    await openssl(folder, [
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-days",
      "2",
      "-out",
      `${name}.crt`,
      "-extfile",
      "names.cnf",
    ]);
    const texts = [`${name}.key`, `${name}.crt`].map((file) =>
      Deno.readTextFileSync(join(folder, file))
    );
    await Deno.writeTextFile(join(folder, `${name}.pem`), texts.join(""));
  }
}

async function openssl(folder: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args: [...args], cwd: folder })
    .output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

async function addScramUser(broker: string): Promise<void> {
  const { username, password } = SCRAM_USER;
  const { success, stderr, stdout } = await new Deno.Command("java", {
    args: [
      "-classpath",
      join(await kafkaJars(), "*"),
      "kafka.admin.ConfigCommand",
      "--bootstrap-server",
      broker,
      "--alter",
      "--entity-type",
      "users",
      "--entity-name",
      username,
      "--add-config",
      `SCRAM-SHA-512=[password=${password}]`,
    ],
  }).output();
  if (!success) {
    throw new Error(new TextDecoder().decode(stderr) + new TextDecoder().decode(stdout));
  }
}

export type Permission = readonly [
  resource: keyof typeof AclResourceTypes,
  name: string,
  operation: keyof typeof AclOperationTypes,
];

/** Gives a user what these lines of docs/clusters.md say. */
export async function allow(
  { kafka }: SecuredBroker,
  user: string,
  permissions: readonly Permission[],
): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  await admin.createAcls({
    acl: permissions.map(([resource, name, operation]) => ({
      principal: `User:${user}`,
      host: "*",
      permissionType: AclPermissionTypes.ALLOW,
      resourceType: AclResourceTypes[resource],
      resourceName: name,
      resourcePatternType: ResourcePatternTypes.LITERAL,
      operation: AclOperationTypes[operation],
    })),
  });
  await admin.disconnect();
}
