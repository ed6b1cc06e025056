import assert from "node:assert/strict";
import { join } from "node:path";
import { kafkaJars } from "../../dev/kafka_jars.ts";
import { trimmedValue } from "../../lib/kafka/config_file.ts";
import { parseJaasOptions } from "../../lib/kafka/jaas.ts";
import { readProperties } from "../../lib/kafka/properties.ts";
import { isKnown } from "../../lib/kafka/setting_names.ts";

const SEED = 20;
const RANDOM_FILES = 3_000;
const RANDOM_JAAS_CONFIGS = 3_000;
const JAVA_PROGRAM = join(import.meta.dirname ?? ".", "KafkaSettings.java");
const PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule";

/** Files as people write them, and files that earlier versions read differently from Kafka. */
const FILES: readonly string[] = [
  "security.protocol=SASL_SSL \nclient.id = me \t\nssl.truststore.type=\tPEM\f \n",
  "client.id=\u00a0me\u3000\n",
  "ssl.key.password= two words \\  \nssl.truststore.certificates=a\\n b \\n\n",
  "sasl.mechanism=PLAIN\\t\nclient.id=\\ x\\ \n",
  "\\\n\nclient.id=a\n",
  "\\\n# a comment\nclient.id=a\n",
  "\\\n   \\\n\n! a comment \\\nclient.id=a\n",
  "client.id=a\\\n\nb=2\n",
  "client.id=a\\\n# b\nc=3\n",
  "client.id=a\\",
  "client.id\\",
  "\\",
  "a\u00a0b=1\na\u2003b 2\n\u00a0c:3\nd\u0085=4\ne\u000b=5\n",
  "a\\u004=1\n",
  "a=\\u00zz\n",
  "# \\u is nothing in a comment\na=1\n",
  "a=\\\\u12\n",
  "a=\\u\\\n0041\n",
  "a=\\u00\\\n41\n",
  "a\\=b=c\\:d\na\\ b c\n",
  "=x\n:y\n z\n",
  "a\r\nb\rc=1\\\r\n  2\r\n",
];

/** Values of `sasl.jaas.config`, both accepted and refused. */
const JAAS_CONFIGS: readonly string[] = [
  `${PLAIN} required username="alice" password="secret";`,
  `${PLAIN} required username='alice' password='sec;ret';`,
  `${PLAIN}\trequired\n\tusername=alice\tpassword=secret\t;`,
  `${PLAIN} required username="a" password="tab\\there \\101\\60\\477\\8 \\q\\"\\'";`,
  `${PLAIN} required username="a" password="first" password="last";`,
  `${PLAIN} required my.username="other" my.password="wrong" username="a" password="b";`,
  `${PLAIN} required username="a" password="b"`,
  `${PLAIN} required username="a" password=p@ss;`,
  `${PLAIN} required username="a" password=1234;`,
  `${PLAIN} required username="a" password=-x;`,
  `${PLAIN} required username="a" password=a-1.b_$c;`,
  `${PLAIN} required username="a" password=p\u00e4ss\u20ac;`,
  `${PLAIN} required username="a" password="no end;`,
  `${PLAIN} required username="a" password="line\nbreak";`,
  `${PLAIN} required username="a" password="end\\`,
  `${PLAIN} required username="a" password=;`,
  `${PLAIN} required username="a" password="b";;`,
  `${PLAIN} required username="a" password="b"; ${PLAIN} required;`,
  `${PLAIN} required username="a" password="b"; // a comment`,
  `${PLAIN} required /* username="x" */ username="a" / password="c"\n password="b";`,
  `${PLAIN} required;`,
  `${PLAIN} Optional 'username'="a" "password"='b';`,
  `${PLAIN} username="a" password="b";`,
  `${PLAIN} "required" username="a";`,
  `required username="a" password="b";`,
  `"" required username="a";`,
  `1 required username="a";`,
  `${PLAIN}`,
  `;`,
  ``,
  `${PLAIN} required 1="a" @="b" username="c";`,
  `${PLAIN} required username = "a" password\n=\n"b" ;`,
];

/** Deterministic, so that a difference can be reproduced. */
function randomChooser(seed: number): <Item>(items: readonly Item[]) => Item {
  let state = seed;
  return (items) => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    const item = items[Math.floor(state / 2 ** 32 * items.length)];
    if (item === undefined) throw new RangeError("expected items to choose from");
    return item;
  };
}

function randomTexts(count: number, parts: readonly string[]): readonly string[] {
  const choose = randomChooser(SEED + parts.length);
  const lengths = Array.from({ length: 24 }, (_, index) => index + 1);
  return Array.from(
    { length: count },
    () => Array.from({ length: choose(lengths) }, () => choose(parts)).join(""),
  );
}

const FILE_PARTS = [
  ..."ab=: \t\f\n\n\r\\\\\\#!",
  ...["\r\n", "\\u0041", "\\u", "\\n", "\u00a0", "\u0085", "\v", "client.id", "é"],
];
const JAAS_PARTS = [
  ...[" ", " ", "=", "=", ";", '"', '"', "'", "\\", "/", "*", "//", "\n", "-", ".", "1", "7"],
  ...["a", "username", "password", " required ", "@", "\u00a0", "\u0090", "€", "\\101", "\\t"],
];

function escaped(value: string): string {
  return value.replace(/[\\ \t\n\r\f]/g, (character) => {
    const code = character.charCodeAt(0).toString(16).padStart(4, "0");
    return `\\u${code}`;
  });
}

async function askKafka(files: readonly string[]): Promise<readonly string[]> {
  const jars = await kafkaJars();
  const java = new Deno.Command("java", {
    args: ["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", join(jars, "*"), JAVA_PROGRAM],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = java.stdin.getWriter();
  const lines = files.map((text) => `${base64(text)}\n`).join("");
  const written = writer.write(new TextEncoder().encode(lines)).then(() => writer.close());
  const { success, stdout } = await java.output();
  await written;
  assert.ok(success);
  return new TextDecoder().decode(stdout).trimEnd().split("\n");
}

function askOurs(text: string): string {
  const properties = readProperties(text);
  if (properties.some(({ hasMalformedEscape }) => hasMalformedEscape)) return "malformed";
  const settings = new Map(properties.map(({ key, value }) => [
    key,
    isKnown(key) ? trimmedValue(key, value) : value,
  ]));
  settings.delete("");
  return `${encoded(settings)} ${ourJaasOptions(settings.get("sasl.jaas.config"))}`;
}

function ourJaasOptions(config: string | undefined): string {
  if (config === undefined) return "none";
  try {
    return encoded(parseJaasOptions(config));
  } catch (error) {
    if (error instanceof Error && error.name === "UsageError") return "refused";
    throw error;
  }
}

function encoded(map: ReadonlyMap<string, string>): string {
  const sorted = [...map].sort(([a], [b]) => a < b ? -1 : 1);
  return `{${sorted.map(([key, value]) => `${base64(key)}:${base64(value)},`).join("")}}`;
}

function visible(text: string): string {
  return JSON.stringify(text).replace(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function base64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

Deno.test("settings files and JAAS configurations have the same meaning here as in Kafka's own classes", async () => {
  const jaasConfigs = [
    ...JAAS_CONFIGS,
    ...randomTexts(RANDOM_JAAS_CONFIGS, JAAS_PARTS).map((text, index) => {
      // Most random texts only fill a gap, because they are rarely valid as a whole.
      const frames = [
        ["", ""],
        [`${PLAIN} required username="a" `, ";"],
        [`${PLAIN} required username="a" password=`, ";"],
        [`${PLAIN} required username="a" password="`, '";'],
      ];
      const [before, after] = frames[index % frames.length] ?? ["", ""];
      return `${before}${text}${after}`;
    }),
  ];
  const files = [
    ...FILES,
    ...randomTexts(RANDOM_FILES, FILE_PARTS),
    ...jaasConfigs.map((config) => `sasl.jaas.config=${escaped(config)}`),
  ];
  const answers = await askKafka(files);
  assert.equal(answers.length, files.length);
  assert.ok(answers.filter((answer) => answer.endsWith("refused")).length > 100);
  assert.ok(answers.filter((answer) => answer.endsWith("}")).length > 100);
  files.forEach((text, index) => assert.equal(askOurs(text), answers[index], visible(text)));
});
