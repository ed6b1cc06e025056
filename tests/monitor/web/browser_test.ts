import assert from "node:assert/strict";
import { freePort } from "../../../dev/local_port.ts";
import { startProgram } from "../../../dev/programs.ts";
import { until } from "../../site.ts";
import { BROWSER, BROWSER_SKIPPED, Tab } from "../chromium.ts";
import { journalLine, logLine, NOT_JSON, orderJson } from "../journal_lines.ts";
import { Logs } from "../logs.ts";

const HOSTILE = `</td></script><script>globalThis.hacked=1;console.error(1)</script>` +
  `<img src="http://example.com/x.png" onerror="globalThis.hacked=1">\u202e{{constructor}}`;
const MOVED_WITHIN_MS = 2_000;
/** One move in time is enough, because the machine may be busy with other tests. */
const MOVE_ATTEMPTS = 10;
const TAB_STOPS_MAX = 40;

/** Writes a journal whose messages contain markup that changes the page or runs scripts. */
function writeHostileLogs(logs: Logs): void {
  logs.orders(200);
  const order = JSON.parse(orderJson(1));
  order.customer_info = { customer_id: HOSTILE, name: HOSTILE };
  order.items[0].item_name = HOSTILE;
  order.currency = HOSTILE;
  order.status = HOSTILE;
  const receivedAtMs = Date.now();
  logs.journal(
    journalLine({ receivedAtMs, offset: 500, value: JSON.stringify(order) }) +
      journalLine({
        receivedAtMs,
        offset: 502,
        topic: HOSTILE,
        value: HOSTILE,
        verdict: NOT_JSON,
      }) +
      journalLine({
        ...{ receivedAtMs, offset: 501, value: HOSTILE },
        verdict: { ...NOT_JSON, error: HOSTILE },
      }),
  );
  logs.log(logLine({ atMs: receivedAtMs, level: "WARN", message: HOSTILE }));
}

const RECEIVED = `document.querySelector("#tiles dd")?.textContent ?? ""`;
const DIALOG_IS_OPEN = `document.querySelector("#record").open`;

/** Returns the time until a new record is shown. */
async function moveMs(tab: Tab, logs: Logs): Promise<number> {
  const before = await tab.evaluate(RECEIVED);
  const startedAtMs = performance.now();
  logs.orders(1);
  await until("the figures are updated", async () => await tab.evaluate(RECEIVED) !== before);
  return performance.now() - startedAtMs;
}

/** Presses Tab until the element is focused. */
async function tabTo(tab: Tab, selector: string): Promise<void> {
  for (let stop = 0; stop < TAB_STOPS_MAX; stop++) {
    await tab.press("Tab");
    const active = `document.activeElement.matches(${JSON.stringify(selector)})`;
    if (await tab.evaluate(active)) return;
  }
  assert.fail(`Tab does not reach ${selector}`);
}

async function assertInert(tab: Tab, origin: string): Promise<void> {
  const added = `document.querySelectorAll("td *:not(button, span), li *, img, iframe").length`;
  assert.equal(await tab.evaluate(added), 0, "messages add no elements");
  assert.equal(await tab.evaluate("globalThis.hacked"), undefined);
  assert.match(String(await tab.evaluate("document.body.innerText")), /<script>.*\\u\{202e\}/);
  assert.deepEqual(tab.messages, [], "the console is empty");
  assert.equal(await tab.evaluate(`document.querySelector("#connection").hidden`), true);
  assert.deepEqual(
    tab.requested.filter((url) => !url.startsWith(`${origin}/`) && url !== "data:,"),
    [],
    "no request leaves the origin",
  );
}

/** Returns the perceived brightness, 0 to 255, of a computed CSS color. */
function brightness(color: unknown): number {
  const [red = 0, green = 0, blue = 0] = String(color).match(/\d+/g)?.map(Number) ?? [];
  return 0.3 * red + 0.6 * green + 0.1 * blue;
}

/**
 * Goal: the live page works for a person, and nothing in a message works on it.
 * Method: a journal of hostile values in a headless browser, in a wide and a narrow window, light and dark.
 * Invariants: figures update within 2 s; nothing overflows; the console stays empty; no request leaves
 * the origin; failures, records, and the search are reachable by keyboard; and the focus stays in place
 * when figures update.
 */
Deno.test({
  name:
    `the live page works in a browser, wide and narrow, light and dark, and is inert to messages${BROWSER_SKIPPED}`,
  ignore: BROWSER === undefined,
  fn: async () => {
    using logs = new Logs();
    writeHostileLogs(logs);
    const origin = `http://127.0.0.1:${freePort()}`;
    const program = await startProgram("monitor:web", [
      ...["--logs", logs.path, "--serve", origin.slice("http://".length)],
    ]);
    try {
      await until("the server listens", () => program.output.stdout.includes(`${origin}/`));
      await using tab = await Tab.open();
      for (
        const window of [
          { width: 1280, scheme: "light" },
          { width: 390, scheme: "dark" },
        ] as const
      ) {
        await tab.show(`${origin}/`, window);
        await until(
          "figures are shown",
          async () => /^2\d\d$/.test(String(await tab.evaluate(RECEIVED))),
        );
        const times: number[] = [];
        while (!times.some((ms) => ms <= MOVED_WITHIN_MS) && times.length < MOVE_ATTEMPTS) {
          times.push(await moveMs(tab, logs));
        }
        assert.ok(times.some((ms) => ms <= MOVED_WITHIN_MS), `figures update within 2 s: ${times}`);

        const overflow = "document.documentElement.scrollWidth - innerWidth";
        assert.ok(
          Number(await tab.evaluate(overflow)) <= 0,
          `nothing overflows ${window.width} px`,
        );
        const colors = `getComputedStyle(document.querySelector("dialog"))`;
        const paper = brightness(await tab.evaluate(`${colors}.backgroundColor`));
        const ink = brightness(await tab.evaluate(`${colors}.color`));
        assert.ok(window.scheme === "light" ? paper > ink + 150 : ink > paper + 150, window.scheme);

        await tabTo(tab, "#failures button");
        await tab.evaluate("document.activeElement.dataset.mine = 1");
        await moveMs(tab, logs);
        assert.equal(await tab.evaluate("document.activeElement.dataset.mine"), "1");
        await tab.press("Enter", "\r");
        const value = `document.querySelector("#record-value").textContent`;
        await until(
          "the record is shown",
          async () => String(await tab.evaluate(value)).includes("<img"),
        );
        assert.equal(await tab.evaluate(DIALOG_IS_OPEN), true);
        await tab.press("Escape");
        await until("the record is closed", async () => !await tab.evaluate(DIALOG_IS_OPEN));
        assert.equal(
          await tab.evaluate("document.activeElement.dataset.mine"),
          "1",
          "the focus has returned",
        );

        await tabTo(tab, "#text");
        await tab.send("Input.insertText", { text: "onerror" });
        await tab.press("Enter", "\r");
        const progress = `document.querySelector("#progress").textContent`;
        await until(
          "the search ends",
          async () =>
            /^3 matches in .*: the whole journal was searched$/.test(
              String(await tab.evaluate(progress)),
            ),
        );
        assert.equal(await tab.evaluate(`document.querySelectorAll("#found tbody tr").length`), 3);
        await assertInert(tab, origin);
      }
      await assert.rejects(tab.evaluate(`document.body.innerHTML = "<b>"`), /TrustedHTML/);

      program.signal("SIGTERM");
      await until(
        "the page says that its server is gone",
        async () => await tab.evaluate(`!document.querySelector("#connection").hidden`) === true,
      );
    } finally {
      program.signal("SIGTERM");
      assert.equal(await program.exitCode, 0, program.output.stderr);
    }
  },
});
