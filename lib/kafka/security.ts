/**
 * Reads TLS and SASL settings from a Java client's properties and the environment.
 *
 * Property names: https://kafka.apache.org/documentation/#security
 */

import { X509Certificate } from "node:crypto";
import { UsageError } from "../usage_error.ts";
import { parseJaasOptions } from "./jaas.ts";

/** Encryption and authentication; without `tls` connections are unencrypted, without `sasl` anonymous. */
export interface Security {
  /** Encryption of the connections. */
  readonly tls?: Tls;
  /** Credentials. */
  readonly sasl?: Sasl;
}

/** TLS settings; all texts are PEM. */
export interface Tls {
  /** Trusted certificate authorities. Default: the system's. */
  readonly ca?: string;
  /** The client's certificate, followed by intermediate certificates. */
  readonly certificate?: string;
  /** The client's private key, unencrypted. */
  readonly key?: string;
  /** True if the broker's certificate must match its host name. Default: true. */
  readonly checksHostName?: boolean;
}

/** Credentials: a password or a token. */
export type Sasl =
  | {
    readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
    readonly username: string;
    readonly password: string;
  }
  | {
    readonly mechanism: "oauthbearer";
    /** Returns a token; called for each connection. */
    readonly token: () => Promise<string>;
  };

type Properties = ReadonlyMap<string, string>;

/** Environment variables and the properties that they override. */
export const SECURITY_VARIABLES: Readonly<Record<string, string>> = {
  KAFKA_SECURITY_PROTOCOL: "security.protocol",
  KAFKA_SASL_MECHANISM: "sasl.mechanism",
  KAFKA_SASL_USERNAME: "username",
  KAFKA_SASL_PASSWORD: "password",
  KAFKA_SSL_CA: "ssl.truststore.location",
  KAFKA_SSL_CERT: "certificate.location",
  KAFKA_SSL_KEY: "key.location",
};

const PROTOCOLS = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
const MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
const PEM = "PEM";

/**
 * Returns the security settings; undefined for unencrypted, anonymous connections.
 *
 * @param readText reads a file named in a property.
 * @throws {UsageError} if a setting is missing or unusable; the message contains no secret.
 */
export function securityOf(
  properties: Properties,
  readText: (path: string) => string,
): Security | undefined {
  const isSaslNamed = properties.keys().some((name) =>
    name.startsWith("sasl.") || name === "username" || name === "password"
  );
  const protocol = properties.get("security.protocol")?.toUpperCase() ??
    (isSaslNamed ? "SASL_SSL" : isTlsNamed(properties) ? "SSL" : "PLAINTEXT");
  if (!PROTOCOLS.includes(protocol)) {
    throw new UsageError(
      `security.protocol is "${protocol}"; expected one of ${PROTOCOLS.join(", ")}`,
    );
  }
  if (protocol === "PLAINTEXT") return undefined;
  return {
    ...(protocol.endsWith("SSL") && { tls: tlsOf(properties, readText) }),
    ...(protocol.startsWith("SASL") && { sasl: saslOf(properties) }),
  };
}

function isTlsNamed(properties: Properties): boolean {
  return properties.keys().some((name) => name.startsWith("ssl.") || name.endsWith(".location"));
}

function tlsOf(properties: Properties, readText: (path: string) => string): Tls {
  if (properties.has("ssl.key.password")) {
    throw new UsageError(
      "ssl.key.password: encrypted keys are not supported; " +
        `decrypt the key with "openssl pkey -in KEY -out PLAIN_KEY" and keep the file private`,
    );
  }
  for (const store of ["truststore", "keystore"]) refuseJavaStore(properties, store);
  const fileOf = (name: string) => {
    const path = properties.get(name);
    return path === undefined ? undefined : readText(path);
  };
  const keystore = fileOf("ssl.keystore.location");
  const ca = properties.get("ssl.truststore.certificates") ?? fileOf("ssl.truststore.location");
  const certificate = fileOf("certificate.location") ??
    properties.get("ssl.keystore.certificate.chain") ?? keystore;
  const key = fileOf("key.location") ?? properties.get("ssl.keystore.key") ?? keystore;
  if ((certificate === undefined) !== (key === undefined)) {
    throw new UsageError(
      "a client certificate and its key must be set together: " +
        "set both KAFKA_SSL_CERT and KAFKA_SSL_KEY, or both in the file of --config",
    );
  }
  if (certificate !== undefined) refuseExpired(certificate);
  return {
    ...(ca !== undefined && { ca }),
    ...(certificate !== undefined && key !== undefined && { certificate, key }),
    checksHostName: properties.get("ssl.endpoint.identification.algorithm") !== "",
  };
}

/** Throws if a certificate has expired. Checked here because a broker does not say why it refuses a certificate. */
function refuseExpired(pem: string): void {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch (error) {
    throw new UsageError(
      "cannot read the client certificate: expected PEM, starting with " +
        `"-----BEGIN CERTIFICATE-----"`,
      { cause: error },
    );
  }
  const { validTo } = certificate;
  if (Date.parse(validTo) > Date.now()) return;
  throw new UsageError(
    `the client certificate expired on ${new Date(validTo).toISOString()}: ` +
      "renew it, or correct this machine's clock",
  );
}

function refuseJavaStore(properties: Properties, store: string): void {
  const type = properties.get(`ssl.${store}.type`)?.toUpperCase();
  const path = properties.get(`ssl.${store}.location`) ?? "";
  if (type === PEM || (type === undefined && !/\.(jks|p12|pfx)$/i.test(path))) return;
  throw new UsageError(
    `ssl.${store}.type is ${type ?? "that of a Java key store"}; expected ${PEM}: ` +
      `convert the store with "keytool -exportcert -rfc" or "openssl pkcs12"`,
  );
}

function saslOf(properties: Properties): Sasl {
  const mechanism = properties.get("sasl.mechanism")?.toUpperCase();
  if (mechanism === undefined || !MECHANISMS.includes(mechanism)) {
    throw new UsageError(
      `sasl.mechanism is ${mechanism === undefined ? "not set" : `"${mechanism}"`}; ` +
        `expected one of ${MECHANISMS.join(", ")} (OAUTHBEARER is supported in the library only)`,
    );
  }
  const jaas = properties.get("sasl.jaas.config");
  const options = jaas === undefined ? undefined : parseJaasOptions(jaas);
  const username = properties.get("username") ?? options?.get("username");
  const password = properties.get("password") ?? options?.get("password");
  if (username === undefined || password === undefined) {
    throw new UsageError(
      `SASL requires a user name and a password: set KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, ` +
        "or sasl.jaas.config in the file of --config",
    );
  }
  return { mechanism: MECHANISM_NAMES[mechanism] ?? "plain", username, password };
}

const MECHANISM_NAMES: Readonly<Record<string, "plain" | "scram-sha-256" | "scram-sha-512">> = {
  "PLAIN": "plain",
  "SCRAM-SHA-256": "scram-sha-256",
  "SCRAM-SHA-512": "scram-sha-512",
};
