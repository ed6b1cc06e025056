import assert from "node:assert/strict";
import { join } from "node:path";
import { until } from "../site.ts";
import { Logs } from "./logs.ts";
import { isCooked, isRestored, startMonitor, Terminal, terminalTest as test } from "./terminal.ts";

const ESC = 0x1b;

async function assertGivenBack(terminal: Terminal): Promise<void> {
  await until(
    "the terminal's settings are restored",
    async () => isCooked(await terminal.settings()),
  );
  const text = await terminal.shows("before the program");
  assert.doesNotMatch(text, /─ Messages/);
}

test("dashboard restores the terminal and stops on SIGTSTP; SIGCONT shows it again, repeatedly", async () => {
  using logs = new Logs();
  logs.orders(10);
  await using terminal = await startMonitor(logs);
  await terminal.shows(/received +10 /);
  for (const received of [20, 30]) {
    await terminal.signal("SIGTSTP");
    await until("the dashboard is stopped", () => terminal.isStopped());
    await assertGivenBack(terminal);
    logs.orders(10);
    await terminal.resize(80 + received, 24);
    await terminal.signal("SIGCONT");
    await terminal.shows(new RegExp(`received +${received} `));
    await terminal.press("?");
    await terminal.shows("─ Keys");
    await terminal.press("x");
    await terminal.shows("─ Messages");
  }
  await terminal.press("q");
  const { code, text } = await terminal.left();
  assert.equal(code, 0, text);
  assert.ok(isRestored(text), text);
});

test("Ctrl-Z returns to the shell, and fg to the dashboard", async () => {
  using logs = new Logs();
  logs.orders(10);
  // A shell with job control.
  const script = '"$@"; echo "the job is stopped"; read -r line; fg %1';
  await using terminal = await startMonitor(logs, { launcher: ["bash", "-mc", script, "bash"] });
  await terminal.shows(/received +10 /);
  await terminal.press("C-z");
  await terminal.shows("the job is stopped");
  await assertGivenBack(terminal);
  await terminal.press("Enter");
  await terminal.shows(/received +10 /);
  await terminal.press("q");
  const { code, text } = await terminal.left();
  assert.equal(code, 0, text);
  assert.ok(isRestored(text), text);
});

test("a SIGTSTP that arrives twice through deno task hides the dashboard until Enter and stops nothing", async () => {
  using logs = new Logs();
  logs.orders(10);
  await using terminal = await startMonitor(logs);
  await terminal.shows(/received +10 /);
  await until("both signals have arrived", async () => {
    await terminal.signal("SIGTSTP");
    await terminal.signal("SIGTSTP");
    let isHidden = false;
    // The message is printed just before the process stops, so only the process state is conclusive.
    await until("the dashboard is hidden or stopped", async () => {
      isHidden = (await terminal.text()).includes("The dashboard is hidden");
      return isHidden || await terminal.isStopped();
    });
    if (isHidden) return true;
    // On a busy machine two signals may be merged into one.
    await terminal.signal("SIGCONT");
    await terminal.shows(/received +10 /);
    return false;
  });
  await assertGivenBack(terminal);
  await terminal.press("Enter");
  await terminal.shows(/received +10 /);
  await terminal.press("q");
  assert.equal((await terminal.left()).code, 0);
});

test("dashboard restores the terminal when SIGQUIT or SIGALRM kills the program", async () => {
  using logs = new Logs();
  logs.orders(10);
  for (const { press, exitCode } of [{ press: true, exitCode: 131 }, { exitCode: 142 }]) {
    await using terminal = await startMonitor(logs);
    await terminal.shows(/received +10 /);
    if (press) await terminal.press("C-\\");
    else await terminal.signal("SIGALRM");
    const { code, text } = await terminal.left();
    assert.equal(code, exitCode, text);
    assert.ok(isRestored(text), text);
  }
});

test("dashboard restores the terminal before a crash message, and when the program exits", async () => {
  for (
    const { how, exitCode, words } of [
      { how: "throws", exitCode: 1, words: "thrown by a timer" },
      { how: "rejects", exitCode: 1, words: "rejected, and awaited by nobody" },
      { how: "exits", exitCode: 7, words: "" },
    ]
  ) {
    const program = join(import.meta.dirname ?? ".", "crashing_dashboard.ts");
    await using terminal = await Terminal.start({
      command: [Deno.execPath(), "run", "--no-prompt", "--allow-env", program, how],
      cwd: import.meta.dirname ?? ".",
      columns: 80,
      rows: 24,
    });
    const { code, text } = await terminal.left();
    assert.equal(code, exitCode, text);
    assert.ok(isRestored(text), text);
    assert.ok(text.includes(words), text);
  }
});

test("a closed terminal ends the monitor", async () => {
  using logs = new Logs();
  logs.orders(10);
  await using terminal = await startMonitor(logs);
  await terminal.shows(/received +10 /);
  const isRunning = await terminal.processProbe();
  assert.ok(await isRunning());
  await terminal.close();
  await until("the monitor has ended", async () => !await isRunning());
});

test("pasted text is never a command: only its first line goes into a filter that is being typed", async () => {
  using logs = new Logs();
  logs.orders(120);
  await using terminal = await startMonitor(logs);
  await terminal.shows(/received +120 /);
  await terminal.paste("q?e /\n\u001b[A q");
  await terminal.press("/");
  await terminal.shows("filter: _");
  await terminal.paste("validation_\nq");
  await terminal.shows("filter: validation__");
  await terminal.press("Enter");
  await terminal.shows(/ecords, 2 match/);
  await terminal.press("q");
  assert.equal((await terminal.left()).code, 0);
});

test("keys that arrive byte by byte are recognized: arrows, Tab, Shift-Tab, a wide character, a lone Escape", async () => {
  using logs = new Logs();
  logs.orders(120);
  await using terminal = await startMonitor(logs);
  await terminal.shows(/› .* ok 0@119/);
  for (const byte of [ESC, 0x5b, 0x42]) await terminal.sendBytes(byte); // down
  await terminal.shows(/› .* ok 0@118/);
  for (const byte of [ESC, 0x4f, 0x41]) await terminal.sendBytes(byte); // up, in application mode
  await terminal.shows(/› .* ok 0@119/);
  await terminal.press("Tab");
  await terminal.shows(/─ Log ─/);
  for (const byte of [ESC, 0x5b, 0x5a]) await terminal.sendBytes(byte); // Shift-Tab
  await terminal.shows(/─ Recent records ─/);
  for (const byte of [ESC, 0x5b, 0x5b, 0x45]) await terminal.sendBytes(byte); // F5 of a Linux console: no `E`
  await terminal.press("/");
  for (const byte of new TextEncoder().encode("漢")) await terminal.sendBytes(byte);
  await terminal.shows("filter: 漢_");
  await terminal.sendBytes(ESC);
  await terminal.shows(/─ Recent records ─/);
  await terminal.press("q");
  assert.equal((await terminal.left()).code, 0);
});
