/**
 * A real broker with TLS, SASL, and ACLs for the tests of one file, with an additional plain listener whose anonymous
 * user may do everything, for the tests themselves.
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
  /** Plain; the anonymous user may do everything. */
  readonly plain: string;
  /** `SASL_SSL`: PLAIN, SCRAM-SHA-512, and OAUTHBEARER with unsigned tokens. */
  readonly sasl: string;
  /** Like `sasl`, but a session ends after {@link SESSION_MS}. */
  readonly expiring: string;
  /** `SSL`; requires a client certificate. */
  readonly mutual: string;
  /** `SSL`, with an expired certificate. */
  readonly stale: string;
  /** Plain; the broker advertises {@link LOST_HOST} to its clients. */
  readonly lost: string;
  /** Contains the PEM files and the broker's data. */
  readonly folder: string;
  readonly kafka: Kafka;
}

export const ALICE = { username: "alice", password: 'alice="s secret;' } as const;
export const SCRAM_USER = { username: "carol", password: "carols-secret" } as const;
export const SESSION_MS = 3_000;
export const LOST_HOST = "no-such-broker.invalid";
const LOOPBACK = "127.0.0.1";

/** A placeholder if no broker can be started. */
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
 * Creates two authorities, and certificates of the first for the broker and a client; `stale` and `expired` are out
 * of date.
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
 * Creates a SCRAM-SHA-512 user, or changes its password. kafkajs has no such request.
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
// deno-lint-ignore no-explicit-any -- kafkajs's decoder has no types
const Decoder = decoderModule as any;

/** Compact arrays and bytes are encoded with their length plus one; a 0 stands for no tagged fields. */
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

/** Grants a user the permissions in these lines of docs/clusters.md, or denies them. */
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
