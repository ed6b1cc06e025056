import assert from "node:assert/strict";
import { LOST_HOST } from "../secured_broker.ts";
import {
  broker,
  brokerTest,
  type Environment,
  errorLine,
  PLAIN,
  produceOne,
  SCRAM,
  securedSite,
  trackToEnd,
  TRUST,
  WRONG_PASSWORD,
} from "../secured_site.ts";

/** The time in which a wrong setting must end a run. */
const REFUSAL_MS_MAX = 20_000;

const REFUSALS: readonly {
  readonly of: string;
  readonly env: Environment;
  readonly address?: string;
  readonly code?: number;
  readonly message: RegExp;
}[] = [
  {
    of: "a wrong password",
    env: { ...PLAIN, KAFKA_SASL_PASSWORD: WRONG_PASSWORD },
    message: /user name or the password is wrong.*KAFKA_SASL_USERNAME/i,
  },
  {
    of: "a wrong password (SCRAM)",
    env: { ...SCRAM, KAFKA_SASL_PASSWORD: WRONG_PASSWORD },
    message: /user name or the password is wrong.*KAFKA_SASL_USERNAME/i,
  },
  {
    of: "a mechanism that the cluster does not support",
    env: { ...SCRAM, KAFKA_SASL_MECHANISM: "SCRAM-SHA-256" },
    message: /does not support the requested SASL mechanism.*KAFKA_SASL_MECHANISM/,
  },
  {
    of: "a broker certificate of an untrusted authority",
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
    of: "an expired broker certificate",
    env: TRUST,
    address: broker.stale,
    message: /the broker's certificate has expired/,
  },
  {
    of: "no client certificate",
    env: TRUST,
    address: broker.mutual,
    message: /certificate.*KAFKA_SSL_CERT/is,
  },
  {
    of: "an expired client certificate",
    env: { ...TRUST, KAFKA_SSL_CERT: "config/expired.crt", KAFKA_SSL_KEY: "config/expired.key" },
    address: broker.mutual,
    code: 2,
    message: /client certificate expired on \d{4}-/,
  },
  { of: "no TLS to a TLS port", env: {}, message: /KAFKA_SECURITY_PROTOCOL/ },
  {
    of: "TLS to a plain port",
    env: TRUST,
    address: broker.plain,
    message: /TLS.*KAFKA_SECURITY_PROTOCOL/is,
  },
  {
    of: "addresses that do not resolve",
    env: {},
    address: "one.invalid:9092,two.invalid:9092",
    message: /one\.invalid:9092, two\.invalid:9092 .*cannot be resolved.*--broker.*DNS/,
  },
];

for (const { of, env, address, code = 1, message } of REFUSALS) {
  brokerTest(`${of}: refused promptly in one plain line`, async () => {
    await using site = await securedSite({ partitions: 1 });
    const startedAtMs = performance.now();
    const ended = await produceOne(site, env, address);
    assert.equal(ended.code, code, ended.stderr);
    assert.match(errorLine(ended), message);
    assert.ok(performance.now() - startedAtMs < REFUSAL_MS_MAX);
  });
}

for (const [name, run] of [["producer", produceOne], ["tracker", trackToEnd]] as const) {
  brokerTest(
    `${name}: a broker that advertises an unresolvable host is reported, with what to do`,
    async () => {
      await using site = await securedSite({ partitions: 1 });
      const ended = await run(site, {}, broker.lost);
      assert.equal(ended.code, 1, ended.stderr);
      assert.match(
        errorLine(ended),
        new RegExp(
          `names a broker at ${LOST_HOST}:\\d+ .*cannot be resolved.*advertised\\.listeners`,
        ),
      );
    },
  );
}
