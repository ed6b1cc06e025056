import assert from "node:assert/strict";
import { join } from "node:path";
import { freePort } from "../../lib/dev/local_port.ts";
import { argsOfTask } from "../../lib/dev/programs.ts";
import { until } from "../site.ts";
import { journalLine, logLine, VALIDATION_FAILURE } from "./journal_lines.ts";
import { Logs } from "./logs.ts";
import { isRestored, missingTerminal, Terminal } from "./terminal.ts";

const PROJECT = join(import.meta.dirname ?? ".", "..", "..");
const COLOUR = new RegExp(`${String.fromCharCode(27)}\\[[349][0-8]`);
const missing = await missingTerminal();

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: missing === undefined ? name : `${name} (SKIPPED: ${missing})`,
    ignore: missing !== undefined,
    fn,
  });
}

/** As the task of `deno.json` runs it, permissions included. */
async function startMonitor(
  logs: Logs,
  { columns = 80, rows = 24, env = {} }: {
    columns?: number;
    rows?: number;
    env?: Readonly<Record<string, string>>;
  } = {},
): Promise<Terminal> {
  // What people's terminals and CI systems say of themselves; a package may want to read it.
  const surroundings = {
    TERM: "xterm-256color",
    COLORTERM: "truecolor",
    TERM_PROGRAM: "Apple_Terminal",
    CI: "true",
    GITHUB_ACTIONS: "true",
    TEAMCITY_VERSION: "2026.1",
    TF_BUILD: "True",
  };
  const command = [
    ...[Deno.execPath(), "task", "--quiet", "--config", join(PROJECT, "deno.json")],
    ...["monitor", "--logs", logs.path, "--interval", "100ms"],
  ];
  return await Terminal.start({
    command,
    cwd: PROJECT,
    columns,
    rows,
    env: { ...surroundings, ...env },
  });
}

test("dashboard fills a terminal of any size, and follows when it changes", async () => {
  using logs = new Logs();
  logs.orders(300);
  await using terminal = await startMonitor(logs);
  await terminal.shows(/received +300/);
  for (
    const { columns, rows, panes, isAllShown } of [
      { columns: 80, rows: 24, panes: ["Messages", "Health", "Throughput", "Recent records"] },
      { columns: 120, rows: 40, panes: ["Business", "Partitions", "Log"], isAllShown: true },
      { columns: 200, rows: 55, panes: ["Business", "Partitions", "Log"], isAllShown: true },
      { columns: 60, rows: 14, panes: ["Messages", "Health"] },
    ]
  ) {
    await terminal.resize(columns, rows);
    for (const pane of panes) {
      await terminal.shows(new RegExp(`─ ${pane}`));
    }
    await until(`the frame fills ${columns}x${rows}`, async () => {
      const lines = (await terminal.text()).trimEnd().split("\n");
      return lines.length === rows && lines.some((line) => line.length === columns);
    });
    const text = await terminal.text();
    assert.equal(/─ Business/.test(text), isAllShown === true, text);
    assert.match(text, /HEALTHY/);
    assert.match(text, /received +300/);
  }
  await terminal.press("q");
  const { code, text } = await terminal.left();
  assert.equal(code, 0);
  assert.ok(isRestored(text), text);
});

test("dashboard in traffic: counts, an error in full, a filter, and a pause that goes on counting", async () => {
  using logs = new Logs();
  logs.orders(120);
  await using terminal = await startMonitor(logs);
  await terminal.shows(/received +120/);
  await terminal.shows(/failed +2 +validation 2/);

  await terminal.press("e");
  const failure = await terminal.shows("Esc closes");
  assert.match(failure, /FAILED, validation: total: expected 14\.50, actual 1\.00/);
  assert.match(failure, /"order_id": "00000000-0000-4000-8000-000000000099"/);
  await terminal.press("e");
  await terminal.shows("00000000-0000-4000-8000-000000000049");
  await terminal.press("E");
  await terminal.shows("00000000-0000-4000-8000-000000000099");
  await terminal.press("Escape");
  await terminal.shows("Recent records");

  await terminal.press("/", "v", "a", "l", "i", "d", "a", "t", "i", "o", "n", "_", "Enter");
  await terminal.shows(/Recent records, 2 match/);
  await terminal.shows('filter "validation_"');
  await terminal.press("Escape");
  await terminal.shows(/Recent records ─/);

  await terminal.press("Space");
  await terminal.shows("PAUSED, +0 new");
  logs.orders(1_284);
  const paused = await terminal.shows("PAUSED, +1,284 new");
  assert.match(paused, /received +120 /);
  await terminal.press("Space");
  await terminal.shows(/received +1,404/);

  await terminal.press("3");
  await terminal.shows(/─ Throughput, 15 min ─/);
  await terminal.press("5");
  await terminal.shows(/─ Success, all, 98 % ─/);

  await terminal.press("?");
  await terminal.shows("─ Keys");
  await terminal.press("C-c");
  assert.equal((await terminal.left()).code, 0);
});

test("dashboard tells stale from unhealthy, and nothing yet from both", async () => {
  using logs = new Logs();
  await using terminal = await startMonitor(logs);
  await terminal.shows("NO DATA");
  logs.orders(60, 3 * 60_000);
  await terminal.shows("STALE");
  await terminal.shows(/no data for 3 min/);
  logs.journal(
    Array.from(
      { length: 60 },
      (_, offset) => journalLine({ receivedAtMs: Date.now(), offset, verdict: VALIDATION_FAILURE }),
    ).join(""),
  );
  await terminal.shows("UNHEALTHY");
});

test("dashboard counts every line through rotations under load", async () => {
  using logs = new Logs();
  logs.orders(1);
  await using terminal = await startMonitor(logs);
  await terminal.shows(/received +1 /);
  for (let round = 0; round < 30; round++) {
    logs.orders(1_000);
    if (round % 10 === 9) logs.rotate();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await terminal.shows(/received +30,001/);
});

test("dashboard shows what a message would do to the terminal, and does not do it", async () => {
  using logs = new Logs();
  const hostile = "\u001b]0;taken over\u0007\u001b[2J\u001b[31m\u202eevil";
  logs.journal(journalLine({
    receivedAtMs: Date.now(),
    value: `{"order_id":"${hostile}"`,
    verdict: {
      eventType: "message.received.deserialization_error",
      isText: true,
      deserialized: false,
      error: `order_id: ${hostile}`,
    },
  }));
  logs.log(logLine({ atMs: Date.now(), level: "WARN", message: `of ${hostile}` }));
  await using terminal = await startMonitor(logs, { columns: 160, rows: 45 });
  const text = await terminal.shows(/FAILED +orders\/0@0/);
  assert.match(text, /order_id: \S*\]0;taken over/);
  assert.ok(!text.includes("\u202e"));
  await terminal.press("e");
  await terminal.shows("Esc closes");
  assert.notEqual(await terminal.title(), "taken over");
});

test("dashboard without colours says the same", async () => {
  using logs = new Logs();
  logs.orders(100);
  await using terminal = await startMonitor(logs, { env: { NO_COLOR: "1", LANG: "C" } });
  const text = await terminal.shows(/received +100/);
  assert.match(text, /\* HEALTHY/);
  assert.match(text, /^\+- Messages -+\+/m);
  assert.doesNotMatch(await terminal.styledText(), COLOUR);
});

test("dashboard gives the terminal back when it fails", async () => {
  using logs = new Logs();
  logs.orders(10);
  await using terminal = await startMonitor(logs);
  await terminal.shows(/received +10 /);
  const aside = `${logs.path}-aside`;
  await Deno.rename(logs.path, aside);
  await Deno.writeTextFile(logs.path, "");
  const { code, text } = await terminal.left();
  await Deno.remove(aside, { recursive: true });
  assert.equal(code, 1);
  assert.ok(isRestored(text), text);
  assert.ok(text.replaceAll("\n", "").includes(logs.path), text);
});

test("demo on a terminal shows the dashboard; q ends it in order, with the proof", async () => {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-demo-" });
  try {
    await using terminal = await Terminal.start({
      command: [Deno.execPath(), ...await argsOfTask("demo"), "--orders", "100000", "--rate", "50"],
      cwd: folder,
      columns: 100,
      rows: 40,
      env: { KAFKA_BROKER: `127.0.0.1:${freePort()}` },
    });
    await terminal.shows(/received +[1-9]\d+ /);
    await terminal.shows(/of 100,000 orders in the topic/);
    await terminal.press("q");
    const { code, text } = await terminal.left();
    assert.equal(code, 0, text);
    assert.match(text, /Nothing was lost, and nothing was repeated/);
    assert.ok(isRestored(text), text);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
