import assert from "node:assert/strict";
import { join } from "node:path";
import { argsOfTask } from "../../../dev/programs.ts";
import { createSite } from "../../site.ts";
import { broker, runIn, WRONG_PASSWORD } from "../secured_site.ts";

const JAAS = `sasl.jaas.config=required username="u" password="${WRONG_PASSWORD}";`;

/** Each is one mistake away from a valid file. */
const MALFORMED: Readonly<Record<string, string>> = {
  "a protocol merged with the password": `security.protocol=SASL_SSL \\\n${JAAS}`,
  "brokers merged with the password": `bootstrap.servers=a:9092,\\\n${JAAS}`,
  "a path merged with the password":
    `security.protocol=SSL\nssl.truststore.location=config/ca.pem\\\n${JAAS}`,
  "a client id merged with the password": `client.id=me\\\n${JAAS}`,
  "a mechanism merged with the password": `sasl.mechanism=PLAIN\\\n${JAAS}`,
  "a password without its user":
    `sasl.mechanism=PLAIN\nsasl.jaas.config=password="${WRONG_PASSWORD}"`,
};

for (const [what, text] of Object.entries(MALFORMED)) {
  Deno.test({
    name: `${what}: a usage error without the password, even at --log-level debug`,
    ignore: broker.plain === "",
    async fn() {
      await using site = await createSite({ broker: broker.plain, partitions: 0 });
      await Deno.mkdir(join(site.folder, "config"));
      await Deno.writeTextFile(join(site.folder, "config", "client.properties"), text);
      const args = ["--config", "config/client.properties", "--count", "1"];
      const { code, stderr } = await runIn(site, "producer", { args, env: {} });
      assert.equal(code, 2, stderr);
      assert.match(stderr, /^error: .+/m);
    },
  });
}

Deno.test("no program accepts a secret on its command line, where every user of the machine can read it", async () => {
  for (const [name, ...words] of [["producer"], ["tracker"], ["tracker", "verify"]] as const) {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: [...await argsOfTask(name), ...words, "--help"],
    }).output();
    const options = [...new TextDecoder().decode(stdout).matchAll(/--[a-z-]+/g)].join(" ");
    assert.match(options, /--broker/);
    assert.doesNotMatch(options, /pass|secret|token|user|sasl|key-?file/);
  }
});
