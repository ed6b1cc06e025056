/**
 * A real broker with TLS, SASL and ACLs for the tests of one file, beside a plain listener whose anonymous
 * user may do everything: the test's own.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import { pbkdf2Sync, randomBytes } from "node:crypto";
import { join } from "node:path";
import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  Kafka,
  ResourcePatternTypes,
} from "kafkajs";
import decoderModule from "kafkajs/src/protocol/decoder.js";
import encoderModule from "kafkajs/src/protocol/encoder.js";
import { onFreePorts } from "../on_free_ports.ts";
import { startBrokerProcess } from "../../dev/broker_process.ts";
import { createCluster } from "../../lib/kafka/kafkajs/client_cluster.ts";
import { deleteSync, killSync } from "../live_broker.ts";

export interface SecuredBroker {
  /** Plain, anonymous, may do everything. */
  readonly plain: string;
  /** `SASL_SSL`: PLAIN, SCRAM-SHA-512, and OAUTHBEARER with tokens that nobody signed. */
  readonly sasl: string;
  /** As `sasl`; a session ends after {@link SESSION_MS}. */
  readonly expiring: string;
  /** `SSL`, asks for a client certificate. */
  readonly mutual: string;
  /** `SSL`, with a certificate of the past. */
  readonly stale: string;
  /** Plain; the broker tells its clients to come to {@link LOST_HOST}. */
  readonly lost: string;
  /** PEM files and the brokers' data are below it. */
  readonly folder: string;
  readonly kafka: Kafka;
}

export const ALICE = { username: "alice", password: 'alice="s secret;' } as const;
export const SCRAM_USER = { username: "carol", password: "carols-secret" } as const;
export const SESSION_MS = 3_000;
export const LOST_HOST = "no-such-broker.invalid";
const LOOPBACK = "127.0.0.1";

/** Stands in where no broker can be had. */
export const NO_BROKER: SecuredBroker = {
  plain: "",
  sasl: "",
  expiring: "",
  mutual: "",
  stale: "",
  lost: "",
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
  const ca = await Deno.readTextFile(join(folder, "ca.pem"));
  const { broker, address } = await onFreePorts(LISTENERS.length + 1, async (ports) => {
    const address = (name: string) => `${LOOPBACK}:${ports[LISTENERS.indexOf(name)]}`;
    const broker = await startBrokerProcess({
      port: ports[LISTENERS.indexOf("PLAINTEXT")] ?? 0,
      dataDir: join(folder, "broker"),
      quickStart: true,
      settings: {
        ...listenerSettings(address, `${LOOPBACK}:${ports.at(-1)}`),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": join(folder, "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": ca,
        "listener.name.ssl.ssl.client.auth": "required",
        "listener.name.stale.ssl.keystore.type": "PEM",
        "listener.name.stale.ssl.keystore.location": join(folder, "stale.pem"),
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512,OAUTHBEARER",
        ...saslSettings("sasl_ssl"),
        ...saslSettings("expiring"),
        "listener.name.expiring.connections.max.reauth.ms": String(SESSION_MS),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
      },
    });
    return { broker, address };
  });
  pid = broker.pid;
  const kafka = new Kafka({ brokers: [address("PLAINTEXT")], logLevel: 0 });
  await setPassword({ kafka }, SCRAM_USER);
  return {
    plain: address("PLAINTEXT"),
    sasl: address("SASL_SSL"),
    expiring: address("EXPIRING"),
    mutual: address("SSL"),
    stale: address("STALE"),
    lost: address("LOST"),
    folder,
    kafka,
  };
}

const PROTOCOLS: Readonly<Record<string, string>> = {
  PLAINTEXT: "PLAINTEXT",
  SASL_SSL: "SASL_SSL",
  EXPIRING: "SASL_SSL",
  SSL: "SSL",
  STALE: "SSL",
  LOST: "PLAINTEXT",
};
const LISTENERS = Object.keys(PROTOCOLS);

function listenerSettings(
  address: (name: string) => string,
  controller: string,
): Record<string, string> {
  const urls = LISTENERS.map((name) => `${name}://${address(name)}`);
  return {
    "listeners": [...urls, `CONTROLLER://${controller}`].join(","),
    "advertised.listeners": urls.map((url) =>
      url.startsWith("LOST") ? url.replace(LOOPBACK, LOST_HOST) : url
    ).join(","),
    "listener.security.protocol.map": [
      ...LISTENERS.map((name) => `${name}:${PROTOCOLS[name]}`),
      "CONTROLLER:PLAINTEXT",
    ].join(","),
    "controller.quorum.voters": `1@${controller}`,
  };
}

function saslSettings(listener: string): Record<string, string> {
  const prefix = `listener.name.${listener}`;
  const kafkaSecurity = "org.apache.kafka.common.security";
  return {
    [`${prefix}.plain.sasl.jaas.config`]: `${kafkaSecurity}.plain.PlainLoginModule required ` +
      `user_${ALICE.username}="${ALICE.password.replaceAll('"', '\\"')}";`,
    [`${prefix}.scram-sha-512.sasl.jaas.config`]:
      `${kafkaSecurity}.scram.ScramLoginModule required;`,
    [`${prefix}.oauthbearer.sasl.jaas.config`]:
      `${kafkaSecurity}.oauthbearer.OAuthBearerLoginModule required ` +
      `unsecuredLoginStringClaim_sub="broker";`,
  };
}

/**
 * Two authorities, and certificates of the first for the broker and a client; those of `stale` and `expired` are of
 * the past.
 */
async function makeCertificates(folder: string): Promise<void> {
  await makeAuthority(folder, { name: "ca", subject: "/CN=orderflow test authority" });
  await makeAuthority(folder, { name: "stranger", subject: "/CN=a stranger" });
  await Deno.writeTextFile(join(folder, "names.cnf"), `subjectAltName=IP:${LOOPBACK}\n`);
  for (const name of ["broker", "client"]) await makeCertificate(folder, { name, days: 2 });
  for (const name of ["stale", "expired"]) await makeCertificate(folder, { name, days: -1 });
}

async function makeAuthority(
  folder: string,
  { name, subject }: { readonly name: string; readonly subject: string },
): Promise<void> {
  await openssl(folder, [
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", subject],
    ...["-keyout", `${name}.key`, "-out", `${name}.pem`],
  ]);
}

async function makeCertificate(
  folder: string,
  { name, days }: { readonly name: string; readonly days: number },
): Promise<void> {
  await openssl(folder, [
    ...["req", "-newkey", "rsa:2048", "-nodes", "-subj", `/CN=${name}`],
    ...["-keyout", `${name}.key`, "-out", `${name}.csr`],
  ]);
  await openssl(folder, [
    ...["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key"],
    ...["-CAcreateserial", "-days", String(days), "-extfile", "names.cnf", "-out", `${name}.crt`],
  ]);
  const texts = [`${name}.key`, `${name}.crt`].map((file) =>
    Deno.readTextFileSync(join(folder, file))
  );
  await Deno.writeTextFile(join(folder, `${name}.pem`), texts.join(""));
}

async function openssl(folder: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args: [...args], cwd: folder })
    .output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

const ALTER_USER_SCRAM_CREDENTIALS = 51;
const SCRAM_SHA_512 = 2;
const ITERATIONS = 4096;

/**
 * Makes a user of SCRAM-SHA-512, or gives one another password. kafkajs has no request for it.
 *
 * Message format: https://kafka.apache.org/protocol#The_Messages_AlterUserScramCredentials
 */
export async function setPassword(
  { kafka }: Pick<SecuredBroker, "kafka">,
  { username, password }: { readonly username: string; readonly password: string },
): Promise<void> {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, ITERATIONS, 64, "sha512");
  const cluster = createCluster(kafka);
  await cluster.connect();
  const broker = await cluster.brokerPool.findConnectedBroker();
  const errorCode = await broker.connectionPool.send({
    request: {
      apiKey: ALTER_USER_SCRAM_CREDENTIALS,
      apiVersion: 0,
      apiName: "AlterUserScramCredentials",
      encode: () => Promise.resolve(encodeUpsertion({ username, salt, salted })),
    },
    response: {
      decode: (payload) => Promise.resolve(decodeErrorCode(payload)),
      parse: (decoded) => Promise.resolve(decoded),
    },
  });
  await cluster.disconnect();
  if (errorCode !== 0) throw new Error(`cannot set a password: error code ${errorCode}`);
}

// deno-lint-ignore no-explicit-any -- kafkajs's encoder has no types
const Encoder = encoderModule as any;
// deno-lint-ignore no-explicit-any -- nor has its decoder
const Decoder = decoderModule as any;

/** Compact arrays and bytes count from one; 0 fields follow where tagged ones could. */
function encodeUpsertion(
  { username, salt, salted }: { username: string; salt: Buffer; salted: Buffer },
): unknown {
  return new Encoder()
    .writeUVarInt(0) // ends the request header (version 2)
    .writeUVarInt(1) // no deletions
    .writeUVarInt(2) // one upsertion
    .writeUVarIntString(username)
    .writeInt8(SCRAM_SHA_512)
    .writeInt32(ITERATIONS)
    .writeUVarInt(salt.length + 1)
    .writeBuffer(salt)
    .writeUVarInt(salted.length + 1)
    .writeBuffer(salted)
    .writeUVarInt(0)
    .writeUVarInt(0);
}

function decodeErrorCode(payload: unknown): number {
  const decoder = new Decoder(payload);
  decoder.readTaggedFields(); // ends the response header (version 1)
  decoder.readInt32(); // throttle_time_ms
  decoder.readUVarInt(); // one result
  decoder.readUVarIntString(); // user
  return decoder.readInt16();
}

export type Permission = readonly [
  resource: keyof typeof AclResourceTypes,
  name: string,
  operation: keyof typeof AclOperationTypes,
];

/** Gives a user what these lines of docs/clusters.md say, or denies it. */
export async function allow(
  { kafka }: SecuredBroker,
  user: string,
  permissions: readonly Permission[],
  permissionType: AclPermissionTypes = AclPermissionTypes.ALLOW,
): Promise<void> {
  if (permissions.length === 0) return;
  const admin = kafka.admin();
  await admin.connect();
  await admin.createAcls({
    acl: permissions.map((permission) => ({
      ...entryOf(user, permission),
      permissionType,
    })),
  });
  await admin.disconnect();
}

/** Takes a permission away that {@link allow} gave. */
export async function revoke(
  { kafka }: SecuredBroker,
  user: string,
  permission: Permission,
): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  await admin.deleteAcls({
    filters: [{ ...entryOf(user, permission), permissionType: AclPermissionTypes.ALLOW }],
  });
  await admin.disconnect();
}

function entryOf(user: string, [resource, name, operation]: Permission) {
  return {
    principal: `User:${user}`,
    host: "*",
    resourceType: AclResourceTypes[resource],
    resourceName: name,
    resourcePatternType: ResourcePatternTypes.LITERAL,
    operation: AclOperationTypes[operation],
  };
}
