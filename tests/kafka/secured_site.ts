/**
 * Shared by the tests on the secured broker: one broker, a site for each test, and programs configured by environment
 * and file, whose whole output is searched for secrets.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { startProgram } from "../../dev/programs.ts";
import { createSite, type Ended, type Site, type SiteOptions } from "../site.ts";
import { ALICE, isInstalled, NO_BROKER, SCRAM_USER, startSecuredBroker } from "./secured_broker.ts";

/** Needed to create certificates; without it the broker tests are skipped. */
const hasOpenssl = await isInstalled("openssl");
export const broker = hasOpenssl ? await startSecuredBroker() : NO_BROKER;

export function brokerTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !hasOpenssl, fn });
}

export type Environment = Readonly<Record<string, string>>;
export const TRUST: Environment = { KAFKA_SSL_CA: "config/ca.pem" };
export const PLAIN: Environment = {
  ...TRUST,
  KAFKA_SASL_MECHANISM: "PLAIN",
  KAFKA_SASL_USERNAME: ALICE.username,
  KAFKA_SASL_PASSWORD: ALICE.password,
};
export const SCRAM: Environment = {
  ...TRUST,
  KAFKA_SASL_MECHANISM: "SCRAM-SHA-512",
  KAFKA_SASL_USERNAME: SCRAM_USER.username,
  KAFKA_SASL_PASSWORD: SCRAM_USER.password,
};
export const WRONG_PASSWORD = "not-the-password";

const RUN_MS_MAX = 40_000;
const PEM_FILES = ["ca.pem", "stranger.pem", "client.crt", "client.key", "expired.crt"];

/** Creates a site whose folder `config` has the PEM files. */
export async function securedSite(options: SiteOptions = {}): Promise<Site> {
  const site = await createSite({ broker: broker.plain, ...options });
  await Deno.mkdir(join(site.folder, "config"));
  for (const name of [...PEM_FILES, "expired.key"]) {
    await Deno.copyFile(join(broker.folder, name), join(site.folder, "config", name));
  }
  return site;
}

export async function runIn(
  site: Site,
  name: "producer" | "tracker",
  { args, env }: { readonly args: readonly string[]; readonly env: Environment },
): Promise<Ended> {
  const program = await startProgram(name, [...args, "--log-level", "debug"], {
    cwd: site.folder,
    env,
  });
  const timer = setTimeout(() => program.signal("SIGKILL"), RUN_MS_MAX);
  const code = await program.exitCode;
  clearTimeout(timer);
  assertNoSecret(program.output.stdout + program.output.stderr);
  return { code, ...program.output };
}

export async function produceOne(
  site: Site,
  env: Environment,
  address = broker.sasl,
): Promise<Ended> {
  const args = ["--broker", address, "--topic", site.topic, "--count", "1", "--rate", "max"];
  return await runIn(site, "producer", { args, env });
}

export async function trackToEnd(
  site: Site,
  env: Environment,
  address = broker.sasl,
): Promise<Ended> {
  return await runIn(site, "tracker", {
    args: [
      ...["--broker", address, "--topic", site.topic, "--group", site.group],
      ...["--dead-letters", site.deadLetterTopic, "--exit-at-end", "--json"],
    ],
    env,
  });
}

export function errorLine({ stderr }: Ended): string {
  return stderr.split("\n").find((line) => line.startsWith("error: ")) ?? stderr;
}

/** Asserts that no password of these tests occurs: as it is, in uppercase, in JSON, or in base64. */
export function assertNoSecret(text: string): void {
  const lowerCase = text.toLowerCase();
  for (const secret of [ALICE.password, SCRAM_USER.password, WRONG_PASSWORD]) {
    for (const form of [secret, JSON.stringify(secret).slice(1, -1), btoa(secret)]) {
      assert.ok(!lowerCase.includes(form.toLowerCase()), "no output contains a password");
    }
  }
}
