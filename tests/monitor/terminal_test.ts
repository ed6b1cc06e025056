import assert from "node:assert/strict";
import { join } from "node:path";
import { freePort } from "../../dev/local_port.ts";
import { argsOfTask } from "../../dev/programs.ts";
import { until } from "../site.ts";
import { journalLine, logLine, VALIDATION_FAILURE } from "./journal_lines.ts";
import { Logs } from "./logs.ts";
import { isRestored, startMonitor, Terminal, terminalTest as test } from "./terminal.ts";

const COLOR = new RegExp(`${String.fromCharCode(27)}\\[[349][0-8]`);
test("dashboard fills a terminal of any size and adapts to a resize", async () => {
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

test("dashboard in traffic shows counts, an error in full, and a filter, and keeps counting during a pause", async () => {
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
  await terminal.shows(/ecords, 2 match/);
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

const SIZES = [
  { columns: 80, rows: 24 },
  { columns: 120, rows: 40 },
  { columns: 200, rows: 55 },
] as const;

test("dashboard shows errors, a pause, a filter, and stale data at three sizes, each filling the screen", async () => {
  using logs = new Logs();
  logs.orders(60, 3 * 60_000);
  await using terminal = await startMonitor(logs);
  for (const { columns, rows } of SIZES) {
    await terminal.resize(columns, rows);
    const shows = async (what: RegExp) => {
      await terminal.shows(what);
      await until(`${what} fills ${columns}x${rows}`, async () => {
        const lines = (await terminal.text()).trimEnd().split("\n");
        return lines.length === rows && lines.some((line) => line.length === columns);
      });
    };
    await shows(/STALE[^]*tracker silent[^]*no data for 3 min/);
    await terminal.press("e");
    await shows(/orders\/0@49, Esc closes[^]*FAILED, validation[^]*Esc back {2}arrows scroll/);
    await terminal.press("Escape");
    await shows(/Recent records ─/);
    await terminal.press("Space");
    await shows(/PAUSED, \+0 new/);
    await terminal.press("Space", "/", "Z", "o", "ë");
    await shows(/filter: Zoë_/);
    await terminal.press("Enter");
    await shows(/ecords, 60 match[^]*filter "Zoë"/);
    await terminal.press("Escape");
    await shows(/Recent records ─/);
  }
});

test("dashboard panes are one Tab apart in a small terminal; Enter opens an order, arrows move", async () => {
  using logs = new Logs();
  logs.orders(120);
  logs.log(logLine({
    atMs: Date.now(),
    message: "Metrics",
    metadata: {
      messages_received: 120,
      lag: { "0": 7 },
      end_to_end_latency_ms: { p50: 12.4, p99: 80 },
    },
  }));
  logs.log(logLine({
    atMs: Date.now(),
    level: "WARN",
    message: "A record was sent to the dead-letter topic",
    error: "total",
    metadata: { topic: "orders", partition: 0, offset: 49, reason: "VALIDATION" },
  }));
  await using terminal = await startMonitor(logs);
  const first = await terminal.shows(/received +120 /);
  assert.match(first, /dead letters +1 +VALIDATION 1/);
  assert.match(first, /lag +7 +said \d+ s ago/);
  assert.match(first, /latency p50 +12 ms +p99 80 ms/);
  assert.match(first, /quality +\d+\/100 +-4 errors/);

  await terminal.press("Enter");
  await terminal.shows(/orders\/0@119, Esc closes[^]*"order_id"/);
  await terminal.press("Escape");
  await terminal.shows(/─ Recent records ─/);
  await terminal.press("Down", "Down", "Enter");
  await terminal.shows(/orders\/0@117, Esc closes/);
  await terminal.press("NPage");
  await until("the order has scrolled", async () => !(await terminal.text()).includes("order_id"));
  await terminal.press("Escape");
  await terminal.shows(/─ Recent records ─/);
  await terminal.press("Tab");
  await terminal.shows(/─ Log ─[^]*WARN +total - A record was sent to the dead-letter topic/);
  await terminal.press("Tab");
  await terminal.shows(/─ Partitions ─[^]* 0 +120 +2 +119 [^]* 7 /);
  await terminal.press("Tab");
  await terminal.shows(/─ Business ─[^]*1,711 EUR +[\d.,]+ a minute[^]*pending 118/);
  await terminal.press("Tab");
  await terminal.shows(/─ Recent records ─/);
});

test("dashboard changes its colors with t, and color is never the only sign", async () => {
  using logs = new Logs();
  logs.orders(120);
  await using terminal = await startMonitor(logs);
  await terminal.shows(/received +120 /);
  const themes: readonly (readonly [name: string, isShown: (title: string) => boolean])[] = [
    ["dark", (title) => /\[92m.{0,6}● HEALTHY/.test(title)],
    ["light", (title) => /\[38;5;22m.{0,6}● HEALTHY/.test(title)],
    ["without colors", (title) => /● HEALTHY/.test(title) && !COLOR.test(title)],
    ["dark again", (title) => /\[92m.{0,6}● HEALTHY/.test(title)],
  ];
  for (const [name, isShown] of themes) {
    await until(
      `it is ${name}`,
      async () => isShown((await terminal.styledText()).split("\n")[0] ?? ""),
    );
    await terminal.press("t");
  }
});

test("dashboard restores the terminal on SIGTERM, SIGINT, and SIGHUP", async () => {
  using logs = new Logs();
  logs.orders(10);
  for (
    const { signal, exitCode } of [
      { signal: "SIGTERM", exitCode: 0 },
      { signal: "SIGINT", exitCode: 0 },
      { signal: "SIGHUP", exitCode: 0 },
    ] as const
  ) {
    await using terminal = await startMonitor(logs);
    await terminal.shows(/received +10 /);
    await terminal.signal(signal);
    const { code, text } = await terminal.left();
    assert.equal(code, exitCode, `${signal}: ${text}`);
    assert.ok(isRestored(text), `${signal}: ${text}`);
  }
});

/**
 * A frame is enclosed in two escape sequences that make the terminal draw it at once. This prevents
 * flicker, and the test counts frames by them.
 */
test("dashboard redraws at most 10 times a second and only in whole frames, however fast the journal grows", async () => {
  using logs = new Logs();
  logs.orders(1);
  await using terminal = await startMonitor(logs, { columns: 120, rows: 40 });
  await terminal.shows(/received +1 /);
  const recording = join(logs.path, "recording");
  await terminal.record(recording);
  const startMs = performance.now();
  let received = 1;
  while (performance.now() - startMs < 3_000) {
    logs.orders(50);
    received += 50;
    await terminal.text();
  }
  await terminal.shows(new RegExp(`received +${received.toLocaleString("en-US")} `));
  const seconds = (performance.now() - startMs) / 1_000;
  const bytes = Deno.readTextFileSync(recording);
  const begun = bytes.split("\u001b[?2026h").length - 1;
  const ended = bytes.split("\u001b[?2026l").length - 1;
  assert.ok(begun >= 5, `${begun} frames`);
  assert.ok(Math.abs(begun - ended) <= 1, `${begun} frames begun, ${ended} ended`);
  assert.ok(begun <= 10 * seconds + 1, `${begun} frames in ${seconds} s`);
});

test("dashboard draws over what another program wrote on its screen", async () => {
  using logs = new Logs();
  logs.orders(10);
  await using terminal = await startMonitor(logs);
  await terminal.shows(/received +10 /);
  // A busy dashboard may overwrite the text before it is seen.
  await until("the text is on the screen", async () => {
    await terminal.writeOver("\u001b[9;5Hthe system goes down");
    return (await terminal.text()).includes("the system goes down");
  });
  await until(
    "the dashboard is redrawn",
    async () => /│ journal +\d+\.\d kB +│/.test(await terminal.text()),
  );
});

test("dashboard distinguishes stale, unhealthy, and no data yet", async () => {
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

test("dashboard shows escape sequences in a message as text and does not send them", async () => {
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
  const recording = join(logs.path, "recording");
  await terminal.record(recording);
  const text = await terminal.shows(/FAILED +0@0/);
  assert.match(text, /order_id: \S*\]0;taken over/);
  assert.ok(!text.includes("\u202e"));
  await terminal.press("e");
  await terminal.shows("Esc closes");
  assert.notEqual(await terminal.title(), "taken over");
  await until("something was recorded", () => Deno.statSync(recording).size > 0);
  const sent = Deno.readTextFileSync(recording);
  for (const sequence of ["\u001b]", "\u0007", "\u001b[31m", "\u202e"]) {
    assert.ok(!sent.includes(sequence), `${JSON.stringify(sequence)} was sent`);
  }
});

test("dashboard without colors shows the same information", async () => {
  using logs = new Logs();
  logs.orders(100);
  await using terminal = await startMonitor(logs, { env: { NO_COLOR: "1", LANG: "C" } });
  const text = await terminal.shows(/received +100/);
  assert.match(text, /\* HEALTHY/);
  assert.match(text, /^\+- Messages -+\+/m);
  assert.doesNotMatch(await terminal.styledText(), COLOR);
});

test("dashboard restores the terminal when it fails", async () => {
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

test("demo on a terminal shows the dashboard; q stops it cleanly, with the proof", async () => {
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
