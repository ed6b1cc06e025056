import assert from "node:assert/strict";
import { readProperties } from "../../lib/kafka/properties.ts";
import { securityOf } from "../../lib/kafka/security.ts";
// All tests on the secured broker, which is slow to start, run in this file.
import "./security/entering.ts";
import "./security/refusals.ts";
import "./security/permissions.ts";
import "./security/dead_letters.ts";
import "./security/groups.ts";
import "./security/sessions.ts";
import "./security/tokens.ts";
import "./security/secrets.ts";

Deno.test("readProperties() parses like java.util.Properties", () => {
  const text =
    "# a comment\n! another\n\n  a = 1 \nb:2\nc 3\nd\\ e=f\\u00e9\\n\nlong=x,\\\n   y\nempty=\neven=\\\\\nlast";
  assert.deepEqual(readProperties(text).map(({ key, value }) => [key, value]), [
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

Deno.test("securityOf() sends no password in plain text unless explicitly permitted", () => {
  const named = new Map([["sasl.mechanism", "PLAIN"], ["username", "u"], ["password", "p"]]);
  assert.ok(securityOf(named, () => "")?.tls !== undefined);
  const told = new Map([...named, ["security.protocol", "SASL_PLAINTEXT"]]);
  assert.equal(securityOf(told, () => "")?.tls, undefined);
  assert.equal(securityOf(new Map(), () => ""), undefined);
});

Deno.test("securityOf() refuses Java key stores and encrypted keys, and says what to do", () => {
  const refused = (name: string, value: string) => () =>
    securityOf(new Map([["security.protocol", "SSL"], [name, value]]), () => "");
  assert.throws(refused("ssl.truststore.location", "a.jks"), /expected PEM/);
  assert.throws(
    refused("ssl.key.password", "hush"),
    (error: Error) => /decrypt/.test(error.message) && !error.message.includes("hush"),
  );
});

Deno.test("securityOf() parses sasl.jaas.config as Kafka does, or refuses it without quoting the secret", () => {
  const saslOf = (options: string) =>
    securityOf(
      new Map([
        ["sasl.mechanism", "PLAIN"],
        ["sasl.jaas.config", `PlainLoginModule required ${options}`],
      ]),
      () => "",
    )?.sasl;
  const alice = (password: string) => ({ mechanism: "plain", username: "alice", password });
  assert.deepEqual(saslOf(`username="alice" password='sec;ret';`), alice("sec;ret"));
  assert.deepEqual(saslOf(`username=alice password="a\\tb\\101";`), alice("a\tbA"));
  assert.deepEqual(
    saslOf(`my.username="bob" my.password="x" username="alice" password="1" password="2";`),
    alice("2"),
  );
  for (const refused of [`username="alice" password="p@ss"`, `username="alice" password=p@ss;`]) {
    assert.throws(
      () => saslOf(refused),
      (error: Error) => error.name === "UsageError" && !error.message.includes("p@"),
      refused,
    );
  }
});
