/**
 * How a secured cluster is entered: TLS and SASL, out of a Java client's properties and the environment.
 *
 * Names of the properties: https://kafka.apache.org/documentation/#security
 *
 * @module
 */

import { X509Certificate } from "node:crypto";
import { UsageError } from "../usage_error.ts";
import { parseJaasOptions } from "./jaas.ts";

/** How a cluster is entered; without either part, in plain text and anonymous. */
export interface Security {
  /** How connections are encrypted. */
  readonly tls?: Tls;
  /** Who we are. */
  readonly sasl?: Sasl;
}

/** Texts are in PEM. */
export interface Tls {
  /** Whom to trust; the system's authorities where it is left out. */
  readonly ca?: string;
  /** The client's own certificate, with those between it and its authority. */
  readonly certificate?: string;
  /** Its private key, not encrypted. */
  readonly key?: string;
  /** Whether the broker's certificate must be for the name it was called by. Default: true. */
  readonly checksHostName?: boolean;
}

/** Who we are, by password or by token. */
export type Sasl =
  | {
    readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
    readonly username: string;
    readonly password: string;
  }
  | {
    readonly mechanism: "oauthbearer";
    /** Called for each connection. */
    readonly token: () => Promise<string>;
  };

type Properties = ReadonlyMap<string, string>;

/** The environment's names for properties; a variable wins over the file. */
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
 * @param readText reads a file named in a property.
 * @throws {UsageError} where a setting is missing or cannot be used; no message has a secret in it.
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
      "ssl.key.password: an encrypted key cannot be read; " +
        `decrypt it with "openssl pkey -in KEY -out PLAIN_KEY" and keep the file to yourself`,
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
      "a client certificate needs its key, and a key its certificate: " +
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

/** A broker does not say why it refuses a certificate. */
function refuseExpired(pem: string): void {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch (error) {
    throw new UsageError(
      "the client certificate cannot be read: expected PEM, beginning with " +
        `"-----BEGIN CERTIFICATE-----"`,
      { cause: error },
    );
  }
  const { validTo } = certificate;
  if (Date.parse(validTo) > Date.now()) return;
  throw new UsageError(
    `the client certificate is out of date since ${new Date(validTo).toISOString()}: ` +
      "renew it, or set this machine's clock right",
  );
}

function refuseJavaStore(properties: Properties, store: string): void {
  const type = properties.get(`ssl.${store}.type`)?.toUpperCase();
  const path = properties.get(`ssl.${store}.location`) ?? "";
  if (type === PEM || (type === undefined && !/\.(jks|p12|pfx)$/i.test(path))) return;
  throw new UsageError(
    `ssl.${store}.type is ${type ?? "that of a Java key store"}; expected ${PEM}: ` +
      `"keytool -exportcert -rfc" and "openssl pkcs12" turn the others into it`,
  );
}

function saslOf(properties: Properties): Sasl {
  const mechanism = properties.get("sasl.mechanism")?.toUpperCase();
  if (mechanism === undefined || !MECHANISMS.includes(mechanism)) {
    throw new UsageError(
      `sasl.mechanism is ${mechanism === undefined ? "not set" : `"${mechanism}"`}; ` +
        `expected one of ${
          MECHANISMS.join(", ")
        } (a program of your own can give OAUTHBEARER tokens)`,
    );
  }
  const jaas = properties.get("sasl.jaas.config");
  const options = jaas === undefined ? undefined : parseJaasOptions(jaas);
  const username = properties.get("username") ?? options?.get("username");
  const password = properties.get("password") ?? options?.get("password");
  if (username === undefined || password === undefined) {
    throw new UsageError(
      `SASL needs a user name and a password: set KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, ` +
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
