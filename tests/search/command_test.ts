import assert from "node:assert/strict";
import { argsOfTask, startProgram } from "../../dev/programs.ts";
import { describeRecord } from "../../lib/search/readable_record.ts";
import { parseLine } from "../../lib/search/query.ts";
import { TestFolder } from "../journal/fixture.ts";
import { bytesOf, recordOf, search, writeJournal } from "./journal_site.ts";

const HOSTILE = "\u001b]0;title\u0007\u202e<b>\u009b31m";

async function run(folder: TestFolder, ...args: readonly string[]) {
  const { exitCode, output } = await startProgram("tracker", ["search", ...args], {
    cwd: folder.path,
  });
  return { code: await exitCode, ...output };
}

async function withJournal(test: (folder: TestFolder) => Promise<void>): Promise<void> {
  using folder = new TestFolder();
  await writeJournal(`${folder.path}/logs`, [
    ...Array.from({ length: 20 }, (_, offset) => recordOf(offset)),
    recordOf(20, { value: null, key: null }),
    recordOf(21, { value: new Uint8Array([0xff, 0x0a, 0x00]) }),
    recordOf(22, { value: bytesOf(`{"note":${JSON.stringify(HOSTILE)}}`) }),
  ]);
  await test(folder);
}

Deno.test("in a pipe, search prints the journal's lines byte for byte and exits like grep", () =>
  withJournal(async (folder) => {
    const journal = Deno.readTextFileSync(folder.file("logs/tracker.events"));
    const [all, one, none, half] = await Promise.all([
      run(folder),
      run(folder, "--order-id", "order-7", "--until", "1970-01-01T01:00:00Z"),
      run(folder, "order-7", "--since", "1h"),
      run(folder, "order-7", "--logs", "logs", "--logs", "nowhere"),
    ]);
    assert.deepEqual([all.code, all.stdout], [0, journal]);
    assert.match(all.stderr, /^23 records found in \d+\.\d kB \(\d+\.\d s\)\n$/);
    const line = journal.split("\n")[7];
    assert.deepEqual([one.code, one.stdout], [0, `${line}\n`]);
    assert.deepEqual([none.code, none.stdout], [1, ""]);
    assert.deepEqual([half.code, half.stdout], [2, `${line}\n`]);
    assert.match(
      half.stderr,
      /^no journal in "nowhere".*\n1 record found.*; 1 problem: not everything was searched\n$/,
    );
  }));

Deno.test("--raw, --count, --json, and --limit select the output, and the last line reports that the limit was reached", () =>
  withJournal(async (folder) => {
    const [raw, count, json, nothing] = await Promise.all([
      run(folder, "--raw", "--offset", "0:19-21"),
      run(folder, "--count", "--where", "total >= 18 && order_id != 'order-18'"),
      run(folder, "--json", "--key", "C1", "--limit", "2"),
      run(folder, "--json", "--failed", "--reason", "validation", "--partition", "7"),
    ]);
    assert.deepEqual([raw.code, raw.stdout], [
      0,
      '{"order_id":"order-19","total":19}\n\n\ufffd\n\u0000\n',
    ]);
    assert.deepEqual([count.code, count.stdout], [0, "1\n"]);
    assert.equal(json.code, 0);
    const { records, found, limit_reached } = JSON.parse(json.stdout);
    assert.deepEqual(
      [records.map((each: { kafka_offset: number }) => each.kafka_offset), found, limit_reached],
      [[0, 1], 2, true],
    );
    assert.match(json.stderr, /^2 records found in .*, where --limit ended the search/);
    assert.equal(nothing.code, 1);
    assert.deepEqual(JSON.parse(nothing.stdout).records, []);
  }));

Deno.test("an invalid command line ends search with exit code 2 and one line", () =>
  withJournal(async (folder) => {
    const wrong: readonly (readonly [RegExp, ...string[]])[] = [
      [/argument 'a = 1' is invalid\. column 3: expected ==, found =/, "--where", "a = 1"],
      [/expected P:OFFSET, P:FROM-TO, or P:FROM-/, "--offset", "5"],
      [/expected P:OFFSET/, "--offset", "0:5-3"],
      [/--offset names partition 1, --partition 2/, "--offset", "1:5", "--partition", "2"],
      [/--since is later than --until/, "--since", "1h", "--until", "2h"],
      [/expected one or more of DESERIALIZATION, VALIDATION/, "--reason", "TIMEOUT"],
      [/'--raw' cannot be used with option '--json'/, "--raw", "--json"],
    ];
    await Promise.all(wrong.map(async ([pattern, ...args]) => {
      const { code, stdout, stderr } = await run(folder, ...args);
      assert.deepEqual([code, stdout], [2, ""], stderr);
      assert.match(stderr, pattern);
      assert.equal(stderr.split("\n").length, 2);
    }));
  }));

Deno.test("search stops quietly when the reader closes the pipe", () =>
  withJournal(async (folder) => {
    const line = Deno.readTextFileSync(folder.file("logs/tracker.events")).split("\n")[0] ?? "";
    // Far more than fits in a pipe.
    Deno.writeTextFileSync(folder.file("logs/tracker.events"), `${line}\n`.repeat(4_000));
    const words = [Deno.execPath(), ...await argsOfTask("tracker"), "search", "--logs", "logs"];
    const command = words.map((word) => `'${word}'`).join(" ");
    const { stdout, stderr } = await new Deno.Command("bash", {
      args: ["-c", `${command} | head -n 1; echo "code \${PIPESTATUS[0]}"`],
      cwd: folder.path,
      env: { NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    assert.deepEqual([decoder.decode(stdout), decoder.decode(stderr)], [`${line}\ncode 0\n`, ""]);
  }));

Deno.test("on a terminal, a record has key, headers, time, JSON, and failure, with its control characters escaped", async () => {
  using folder = new TestFolder();
  await writeJournal(folder.path, [
    recordOf(1, {
      partition: 2,
      key: bytesOf(HOSTILE),
      headers: [
        { key: HOSTILE, value: bytesOf(HOSTILE) },
        { key: "n", value: null },
        { key: "b", value: new Uint8Array([0xff]) },
      ],
      value: bytesOf(
        `{"note":"${
          HOSTILE.replaceAll("\u001b", "").replaceAll("\u0007", "")
        }","big":12345678901234567890.10,"a":[],"b":[1,{}]}`,
      ),
      timestampMs: 1_795_417_200_000,
      leaderEpoch: 4,
    }),
    recordOf(3, { partition: 2, value: bytesOf(`no JSON\n${HOSTILE}`) }),
  ]);
  const { lines } = await search(folder.path, {});
  // deno-lint-ignore no-control-regex -- our own styles, if the test runs on a terminal
  const unstyled = (text: string) => text.replaceAll(/\u001b\[\d+m/g, "");
  const described = lines.map((line) => describeRecord(parseLine(bytesOf(line))).map(unstyled));
  for (const each of described.flat()) {
    // deno-lint-ignore no-control-regex -- the characters that must not be there
    assert.doesNotMatch(each, /[\u0000-\u001f\u007f-\u009f\u202e]/);
  }
  const hostile = "\\u001b]0;title\\u0007\\u202e<b>\\u009b31m";
  const [first = [], second = []] = described;
  assert.deepEqual(first.filter((line) => !line.startsWith("failed")), [
    "orders, partition 2, offset 1, leader epoch 4",
    "time    2026-11-23T07:00:00.000Z",
    `key     ${hostile}`,
    `header  ${hostile}: ${hostile}`,
    "header  n: null",
    "header  b: /w== (base64)",
    "{",
    '  "note": "]0;title\\u202e<b>\\u009b31m",',
    '  "big": 12345678901234567890.10,',
    '  "a": [],',
    '  "b": [',
    "    1,",
    "    {}",
    "  ]",
    "}",
    "",
  ]);
  assert.ok(first.some((line) => line.startsWith("failed  VALIDATION: ")));
  assert.deepEqual(second.slice(-3), ["no JSON", hostile, ""]);
});
