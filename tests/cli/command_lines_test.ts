import assert from "node:assert/strict";
import { join } from "node:path";
import { freePort } from "../../dev/local_port.ts";
import { type ProgramName, startProgram } from "../../dev/programs.ts";

const PROJECT = join(import.meta.dirname ?? ".", "..", "..");

async function run(
  name: ProgramName,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const cwd = await Deno.makeTempDir({ prefix: "orderflow-cli-" });
  try {
    const { exitCode, output } = await startProgram(name, args, { cwd, env });
    return { code: await exitCode, ...output };
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
}

/** Asserts one line on standard error, nothing on standard output, no stack trace, and no escape sequence. */
function assertOneLine(
  { stdout, stderr }: { stdout: string; stderr: string },
  pattern: RegExp,
): void {
  assert.equal(stdout, "");
  assert.match(stderr, pattern);
  assert.equal(stderr.split("\n").length, 2, stderr);
  assert.ok(!/\n\s+at /.test(stderr) && !stderr.includes("\u001b"), stderr);
}

const UNUSED_ADDRESS = `127.0.0.1:${freePort()}`;

const WRONG: readonly (readonly [ProgramName, readonly string[], RegExp])[] = [
  ["producer", ["--brokr", "x"], /unknown option '--brokr' \(Did you mean --broker\?\)/],
  [
    "producer",
    ["--rate", "fast"],
    /'--rate <n\|max>' argument 'fast' is invalid\. expected max, or a number above 0/,
  ],
  ["producer", ["--rate", "0"], /expected max, or a number above 0/],
  ["producer", ["--count", "-1"], /expected a whole number of at least 1/],
  ["producer", ["--duration", "10"], /expected a time such as 250ms, 30s, 2m or 1h/],
  ["producer", ["--broker", "nowhere"], /expected host:port/],
  ["producer", ["--broker", "[::1]:9092"], /IPv6 addresses are not supported: use a host/],
  ["producer", ["--topic", "not a topic"], /expected a topic name/],
  ["producer", ["--key", "x"], /Allowed choices are customer, order, none/],
  ["producer", ["extra"], /^unexpected argument "extra" \(/],
  ["tracker", ["serch", "x"], /^there is no command "serch"; did you mean "search"\? \(/],
  ["tracker", ["verify", "logs"], /^unexpected argument "logs" \(/],
  [
    "monitor",
    ["--html", "page.html"],
    /^unexpected argument "page\.html": with --html the page goes to .* > FILE/,
  ],
  [
    "tracker",
    ["search", "--since", "yesterday"],
    /expected an age such as 2h or 30d, or a time in ISO/,
  ],
  ["tracker", ["--config", "."], /^error: cannot read \.: Is a directory\n/],
  ["tracker", ["--from", "now"], /Allowed choices are earliest, latest/],
  ["tracker", ["--dead-letters", "a b"], /expected a topic name/],
  ["tracker", ["verify", "--nope"], /unknown option '--nope'/],
  [
    "producer",
    ["--config", "../elsewhere.properties"],
    /may read below the working directory only/,
  ],
  ["producer", ["--payload-file", "../f"], /may read below the working .* Run it as: deno run /],
  ["producer", ["--payload-file", "none.txt"], /"none\.txt" cannot be used: there is no such file/],
  ["producer", ["--config", "config/none.properties"], /cannot read config\/none\.properties/],
  ["tracker", ["--config", "none.properties"], /cannot read none\.properties/],
  ["monitor", ["--interval", "1000h"], /expected a time such as .*, from 100ms to 24h/],
  ["demo", ["--orders", "none"], /expected a whole number of at least 1/],
  ["broker", ["--port", "99999"], /expected a whole number from 1 to 65535/],
];

Deno.test("--version prints the versions of orderflow and Deno", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(join(PROJECT, "deno.json")));
  for (const name of ["producer", "tracker", "monitor", "demo", "broker"] as const) {
    const { code, stdout, stderr } = await run(name, ["--version"]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`^${version} \\(Deno ${Deno.version.deno}, .+\\)\n$`));
  }
});

for (const [name, args, pattern] of WRONG) {
  Deno.test(`${name} ${args.join(" ")}: one clear line and exit code 2`, async () => {
    const ended = await run(name, args);
    assert.equal(ended.code, 2, ended.stderr);
    assertOneLine(ended, pattern);
  });
}

Deno.test("an invalid environment variable is a usage error that names the variable", async () => {
  const ended = await run("producer", [], { KAFKA_BROKER: "nowhere" });
  assert.equal(ended.code, 2);
  assertOneLine(ended, /KAFKA_BROKER.*expected host:port/);
});

for (const [name, args] of [["producer", []], ["tracker", []], ["tracker", ["verify"]]] as const) {
  Deno.test(`${["", name, ...args].join(" ").trim()} with no broker: one clear line and exit code 1`, async () => {
    const ended = await run(name, [...args, "--broker", UNUSED_ADDRESS]);
    assert.equal(ended.code, 1);
    assertOneLine(
      ended,
      /^error: no Kafka broker answers at 127\.0\.0\.1:\d+ .*start one with "deno task broker"/,
    );
  });
}

Deno.test("--log-level debug prints an error's causes and stack", async () => {
  const { code, stderr } = await run("producer", [
    "--broker",
    UNUSED_ADDRESS,
    "--log-level",
    "debug",
  ]);
  assert.equal(code, 1);
  assert.match(stderr, /error: no Kafka broker answers/);
  assert.match(stderr, /\n\s+at /);
});

Deno.test("values from the command line are escaped in error messages", async () => {
  const ended = await run("producer", ["--topic", "\u001b[31mred"]);
  assert.equal(ended.code, 2);
  assertOneLine(ended, /\\u001b\[31mred/);
});

const COMMANDS: readonly (readonly [ProgramName, ...string[]])[] = [
  ...(["producer", "tracker", "monitor", "broker", "demo", "soak", "torture", "compile"] as const)
    .map((name) => [name] as const),
  ["tracker", "verify"],
  ["tracker", "redrive"],
  ["tracker", "search"],
  ["tracker", "replay"],
];

for (const [name, ...command] of COMMANDS) {
  Deno.test(`${[name, ...command].join(" ")} --help groups its options, with defaults, and has an example`, async () => {
    const { code, stdout, stderr } = await run(name, [...command, "--help"]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, new RegExp(`^Usage: ${[name, ...command].join(" ")} \\[options\\]`));
    assert.match(stdout, /default/);
    const headings = [...stdout.matchAll(/^([A-Z]\w+):$/gm)].map(([, heading]) => heading);
    assert.ok(!headings.includes("Options"), stdout);
    assert.ok(headings.length >= 3 && headings.includes("General"), stdout);
    assert.equal(headings.at(-1), "Examples");
    assert.match(stdout, new RegExp(`Examples:\n  deno task ${[name, ...command].join(" ")}`));
  });
}
