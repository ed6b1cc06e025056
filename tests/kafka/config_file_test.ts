import assert from "node:assert/strict";
import { join } from "node:path";
import { argsOfTask } from "../../dev/programs.ts";
import { readConfigFile } from "../../lib/kafka/config_file.ts";
import { connectionOf } from "../../lib/cli/connection_options.ts";
import { decodeText, readProperties } from "../../lib/kafka/properties.ts";
import { outputOfOwnProcess } from "../own_process.ts";

const BOM = "\u{feff}";
const SECRET = "hunter2";

function read(text: string, { isProtocolNamed = false } = {}) {
  const { settings, warnings } = readConfigFile(text, { path: "c.properties", isProtocolNamed });
  return { settings: Object.fromEntries(settings), warnings };
}

/** Returns the error message, which must not contain a secret. */
function refusal(text: string): string {
  let message = "";
  assert.throws(() => read(text), (error: Error) => {
    message = error.message;
    return error.name === "UsageError";
  }, JSON.stringify(text));
  assert.ok(!message.includes(SECRET), message);
  return message;
}

function utf16(text: string, isLittleEndian: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(text.length * 2));
  for (let at = 0; at < text.length; at++) {
    view.setUint16(at * 2, text.charCodeAt(at), isLittleEndian);
  }
  return new Uint8Array(view.buffer);
}

Deno.test("a byte order mark anywhere does not hide a setting: UTF-8, UTF-16, twice, before a comment, between joined files", () => {
  const text = `security.protocol=SSL\nclient.id=café\n`;
  const utf8 = new TextEncoder();
  const files = [
    utf8.encode(text),
    utf8.encode(BOM + text),
    utf8.encode(BOM + BOM + text),
    utf8.encode(`${BOM}# a comment\n${text}`),
    utf8.encode(`client.id=x\n${BOM}${text}`),
    utf8.encode(` ${BOM} ${text}`),
    utf16(BOM + text, true),
    utf16(BOM + text, false),
    Uint8Array.from(
      [...BOM + text].flatMap((char) => char === BOM ? [0xef, 0xbb, 0xbf] : [char.charCodeAt(0)] // Latin-1, as Java reads it
      ),
    ),
  ];
  for (const bytes of files) {
    assert.deepEqual(
      read(decodeText(bytes)).settings,
      { "security.protocol": "SSL", "client.id": "café" },
    );
  }
});

Deno.test("connectionOf() uses TLS if the first setting follows a byte order mark", async () => {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, `${BOM}security.protocol=SSL\nbootstrap.servers=a:9092\n`);
  const { security, brokers } = connectionOf({ config: path }, { clientId: "c" });
  assert.deepEqual([security?.tls?.checksHostName, brokers], [true, ["a:9092"]]);
  await Deno.remove(path);
});

Deno.test("a setting whose name has an invalid character is refused, with its line number", () => {
  const lines: Readonly<Record<string, RegExp>> = {
    "\u00a0security.protocol=SSL":
      /line 2 has the invisible character U\+00A0.*security\.protocol\?/,
    "security.protocol\u00a0=SSL": /line 2 has the invisible character U\+00A0/,
    "security\u200b.protocol=SSL":
      /line 2 has the invisible character U\+200B.*security\.protocol\?/,
    "security.protocol\u3000SSL": /line 2 has the invisible character U\+3000/,
    "security.\u2060protocol=SSL": /line 2 has the invisible character U\+2060/,
    "security.pro\ufefftocol=SSL": /line 2 has the invisible character U\+FEFF/,
    "s\u0435curity.protocol=SSL": /line 2 has an invalid character.*security\.protocol\?/,
    "bootstrap.servers\u00a0=a:9092": /line 2 has the invisible character U\+00A0/,
    "s\0e\0c\0=1": /line 2 has the invisible character U\+0000/,
    [`=${SECRET}`]: /line 2 has a value without a setting name/,
    [`: ${SECRET}`]: /line 2 has a value without a setting name/,
  };
  for (const [line, message] of Object.entries(lines)) {
    assert.match(refusal(`client.id=x\n${line}\n`), message);
  }
});

Deno.test("an unrecognized line that may concern security is refused", () => {
  for (
    const [line, meant] of [
      ["security.protocl=SSL", "security.protocol"],
      ["securty.protocol SSL", "security.protocol"],
      ["security_protocol=SSL", "security.protocol"],
      ["SECURITY.PROTOCOL=SSL", "security.protocol"],
      ["Security.Protocol : SSL", "security.protocol"],
      ["sasl.mechansm=PLAIN", "sasl.mechanism"],
      ["ssl.truststore.locaton=ca.pem", "ssl.truststore.location"],
      ["security.protocolSSL", ""],
      ["protocol.security=SSL", ""],
      ["security=SSL", ""],
      ["tls=true", ""],
      ["security.protocol\\=SSL", ""],
      ["sasl.mechanisms=PLAIN", ""],
      ["sasl.password=" + SECRET, ""],
      ["producer.security.protocol=SSL", ""],
    ] as const
  ) {
    const message = refusal(`client.id=x\n\n${line}\n`);
    assert.match(message, /^c\.properties: line 3 /);
    if (meant !== "") assert.ok(message.endsWith(`did you mean ${meant}?`), message);
  }
  // A second, correct line does not show which of them was meant.
  assert.match(refusal("security.protocol=PLAINTEXT\nsecurity.protocl=SSL"), /line 2/);
});

Deno.test("a security setting joined to the previous line by a backslash is refused", () => {
  for (
    const text of [
      "acks=all\\\nsecurity.protocol=SSL",
      "client.id=me\\\n  security.protocol SSL",
      `ssl.truststore.password=${SECRET}\\\nsecurity.protocol: SSL`,
      `sasl.jaas.config=required \\\n password="${SECRET}"; \\\nsecurity.protocol=SASL_SSL`,
    ]
  ) {
    assert.match(
      refusal(text),
      /line [23] sets security\.protocol, but continues the line before/,
    );
  }
});

Deno.test("a lone backslash does not join the next line, as in Java", () => {
  for (const between of ["", "\n", "# a comment\n", "  \\\n\n"]) {
    assert.deepEqual(
      read(`\\\n${between}security.protocol=SSL\n`),
      { settings: { "security.protocol": "SSL" }, warnings: [] },
    );
  }
});

Deno.test("a \\u without four hexadecimal digits is refused, as in Java", () => {
  for (const escape of ["\\u", "\\u00g0", "\\uu0041", "\\u12"]) {
    assert.match(refusal(`a=b\nclient.id=${SECRET}${escape}`), /line 2 has a \\u without/);
  }
  assert.deepEqual(read("client.id=\\\\u and \\u0041").settings, { "client.id": "\\u and A" });
});

Deno.test("a warning gives the line of each setting without effect, and its name unless that may be a secret", () => {
  const { warnings } = read(
    `security.protocol=SSL\nacks=1\nlinger.ms=5\nbootstrap.server=a:1\n${SECRET}\nssl.ca.location=x\n` +
      "ssl.protocol=TLSv1.3\nclient.id=a\nclient.id=b\nproducer.sasl.mechanism=PLAIN\n",
  );
  assert.deepEqual(warnings, [
    "c.properties: 4 settings without effect: acks (line 2), linger.ms (line 3), " +
    "ssl.ca.location (line 6), ssl.protocol (line 7)",
    "c.properties: not a Kafka setting, ignored: line 4: did you mean bootstrap.servers?, " +
    "line 5, line 10",
    "c.properties: client.id is set 2 times (lines 8, 9); the last one is used",
  ]);
  assert.deepEqual(read("# only\n\n! comments\n").warnings, []);
});

Deno.test("whitespace around a value is trimmed, as in Kafka", () => {
  assert.deepEqual(
    read(
      "security.protocol = SSL \t \nssl.endpoint.identification.algorithm = \nsasl.mechanism:PLAIN\t",
    ).settings,
    {
      "security.protocol": "SSL",
      "ssl.endpoint.identification.algorithm": "",
      "sasl.mechanism": "PLAIN",
    },
  );
});

Deno.test("readProperties() returns the line of each setting, and of the lines joined to it", () => {
  const found = readProperties("# c\r\n\r\na=1\\\r\n  2\n\\\n# a comment\nb=\\u0031\rc");
  assert.deepEqual(
    found.map(({ line, key, value, continuations }) => [
      line,
      key,
      value,
      continuations.map(({ line }) => line),
    ]),
    [[3, "a", "12", [4]], [7, "b", "1", []], [8, "c", "", []]],
  );
});

Deno.test("settings of other Kafka clients are also named in the warning", () => {
  const names = ["metadata.broker.list", "queue.buffering.max.ms", "message.timeout.ms", "debug"];
  const { warnings } = read(
    ["security.protocol=SSL", ...names.map((name) => `${name}=1`)].join("\n"),
  );
  assert.equal(warnings.length, 1);
  for (const name of names) assert.ok(warnings[0]?.includes(`${name} (line `), warnings[0]);
});

Deno.test("connectionOf() refuses a file without a broker if none is given otherwise, and points out misspellings", async () => {
  const path = await Deno.makeTempFile();
  const connect = (text: string, broker?: readonly string[]) => {
    Deno.writeTextFileSync(path, text);
    return connectionOf({ config: path, ...(broker && { broker }) }, { clientId: "c" }).brokers;
  };
  assert.throws(() => connect("client.id=x\n"), {
    name: "UsageError",
    message:
      `${path} sets no broker: add bootstrap.servers=host:port to it, or name one with --broker or KAFKA_BROKER`,
  });
  assert.throws(
    () => connect("acks=1\nbootstrap.server=a:1\n"),
    /acks.*did you mean bootstrap\.servers\?/,
  );
  assert.throws(
    () => connect("bootstrap.servers=\n"),
    /^UsageError: bootstrap\.servers: expected host:port/,
  );
  assert.deepEqual(connect("client.id=x\n", ["b:1"]), ["b:1"]);
  assert.deepEqual(connect("bootstrap.servers=SASL_SSL://a:1, b:2\n"), ["a:1", "b:2"]);
  await Deno.remove(path);
});

/** Runs a program with this file and environment; it never connects to a broker. */
async function run(text: string, env: Readonly<Record<string, string>> = {}) {
  const cwd = await Deno.makeTempDir();
  await Deno.mkdir(join(cwd, "config"));
  await Deno.writeTextFile(join(cwd, "config", "c.properties"), text);
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...await argsOfTask("producer"), "--broker", "127.0.0.1:1", "--count", "1"],
    cwd,
    env: { ...env, KAFKA_CONFIG: "config/c.properties" },
  }).output();
  await Deno.remove(cwd, { recursive: true });
  return { code, stderr: new TextDecoder().decode(stderr) };
}

Deno.test("a security setting that would be ignored ends the program with code 2 and one line without a secret", async () => {
  const runs = await Promise.all([
    run(`security.protocl=SSL\nsasl.jaas.config=x password="${SECRET}";`),
    run(`sasl.jaas.config=x required username="u" password="${SECRET}";`),
    run("client.id=x", { KAFKA_SASL_PASSWORD: SECRET }),
  ]);
  for (const { code, stderr } of runs) {
    assert.equal(code, 2, stderr);
    assert.match(stderr, /^error: .+\n$/);
    assert.ok(!stderr.includes(SECRET), stderr);
  }
});

Deno.test("whitespace and a byte order mark around an environment variable are ignored", async () => {
  const values = [" SSL ", `${BOM}SSL`, "SSL\r\n", "\u00a0SSL", " "];
  const output = await outputOfOwnProcess(`
    import { connectionOf } from "./lib/cli/connection_options.ts";
    for (const value of ${JSON.stringify(values)}) {
      Deno.env.set("KAFKA_SECURITY_PROTOCOL", value);
      try {
        console.log(connectionOf({}, { clientId: "c" }).security?.tls !== undefined);
      } catch ({ message }) {
        console.log(message);
      }
    }
  `);
  assert.match(output, /^(true\n){4}.*security\.protocol is "".*\n$/);
});
