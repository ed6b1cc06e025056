import assert from "node:assert/strict";
import { join } from "node:path";
import { inflateSync } from "node:zlib";
import { BROWSER, BROWSER_SKIPPED } from "./chromium.ts";
import { journalLine, logLine, orderJson, VALIDATION_FAILURE } from "./journal_lines.ts";
import { Logs } from "./logs.ts";

const PROJECT = join(import.meta.dirname ?? ".", "..", "..");
const PNG_SIGNATURE_BYTES = 8;
const PNG_CHUNK_OVERHEAD = 12;
const FLAGS = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-extensions"],
  ...["--enable-logging=stderr", "--window-size=1280,900"],
];

/** Hosts that the browser itself contacts despite the flags. */
const BROWSERS_OWN = /\b(google|googleapis|gvt1)\.com[:/]/;
/** A page that makes a request and writes to the console, to prove that the test detects both. */
const CONTROL_PAGE = `<img src="http://example.com/x.png"><script>console.error("said")</script>`;

function isFromPage(request: string): boolean {
  return !BROWSERS_OWN.test(request);
}

/** A proxy that stands in for the network. It records each request and closes the connection. */
class NoNetwork implements AsyncDisposable {
  readonly requests: string[] = [];
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #serving = this.#serve();

  get address(): string {
    return `127.0.0.1:${this.#listener.addr.port}`;
  }

  async #serve(): Promise<void> {
    const bytes = new Uint8Array(4_096);
    for await (using connection of this.#listener) {
      const count = await connection.read(bytes).catch(() => null);
      const request = new TextDecoder().decode(bytes.subarray(0, count ?? 0));
      this.requests.push(request.split("\r\n")[0] ?? "");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#serving;
  }
}

interface RenderedPage {
  /** Console messages of the page. */
  readonly console: readonly string[];
  /** Color of the upper left pixel. */
  readonly corner: readonly number[];
}

async function open(
  page: string,
  { folder, scheme, network }: {
    readonly folder: string;
    readonly scheme: "light" | "dark";
    readonly network: NoNetwork;
  },
): Promise<RenderedPage> {
  const picture = join(folder, `${scheme}.png`);
  const { code, stderr } = await new Deno.Command(BROWSER ?? "", {
    args: [
      ...FLAGS,
      ...(scheme === "dark" ? ["--blink-settings=preferredColorScheme=0"] : []),
      ...[`--user-data-dir=${join(folder, scheme)}`, `--proxy-server=http://${network.address}`],
      ...[`--screenshot=${picture}`, `file://${page}`],
    ],
    stdout: "null",
  }).output();
  const log = new TextDecoder().decode(stderr);
  assert.equal(code, 0, log);
  return {
    console: log.split("\n").filter((line) => line.includes(":CONSOLE")),
    corner: firstPixel(Deno.readFileSync(picture)),
  };
}

/** Returns the first pixel of a PNG with 8 bits per channel. PNG filters never change the first pixel. */
function firstPixel(png: Uint8Array): readonly number[] {
  const view = new DataView(png.buffer, png.byteOffset);
  const data: Uint8Array[] = [];
  for (let at = PNG_SIGNATURE_BYTES; at < png.length;) {
    const length = view.getUint32(at);
    const type = new TextDecoder().decode(png.subarray(at + 4, at + 8));
    if (type === "IDAT") data.push(png.subarray(at + 8, at + 8 + length));
    at += length + PNG_CHUNK_OVERHEAD;
  }
  const rows = inflateSync(new Uint8Array(data.flatMap((part) => [...part])));
  return [...rows.subarray(1, 4)];
}

/** Writes a journal whose messages contain markup that loads resources and runs scripts. */
function writeHostileLogs(logs: Logs): void {
  logs.orders(200);
  const hostile = '</td><script src="http://example.com/x.js"></script>' +
    '<img src="http://example.com/x.png" onerror="console.error(1)">';
  const order = JSON.parse(orderJson(1));
  order.customer_info = { customer_id: hostile, name: hostile };
  logs.journal(
    journalLine({ receivedAtMs: Date.now(), offset: 500, value: JSON.stringify(order) }) +
      journalLine({
        receivedAtMs: Date.now(),
        offset: 501,
        verdict: { ...VALIDATION_FAILURE, error: hostile },
      }),
  );
  logs.log(logLine({ atMs: Date.now(), level: "WARN", message: hostile }));
}

Deno.test({
  name:
    "the HTML report makes no request, logs nothing to the console, and follows the color scheme" +
    BROWSER_SKIPPED,
  ignore: BROWSER === undefined,
  async fn() {
    using logs = new Logs();
    writeHostileLogs(logs);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", "monitor", "--logs", logs.path, "--html"],
      cwd: PROJECT,
    }).output();
    const page = join(logs.path, "report.html");
    Deno.writeFileSync(page, stdout);
    await using network = new NoNetwork();
    const options = { folder: logs.path, network };

    const light = await open(page, { ...options, scheme: "light" });
    const dark = await open(page, { ...options, scheme: "dark" });
    assert.deepEqual([...light.console, ...dark.console], []);
    assert.ok(light.corner.every((channel) => channel > 200), `light: ${light.corner}`);
    assert.ok(dark.corner.every((channel) => channel < 60), `dark: ${dark.corner}`);
    assert.deepEqual(network.requests.filter(isFromPage), []);

    const other = join(logs.path, "other.html");
    Deno.writeTextFileSync(other, CONTROL_PAGE);
    const control = await open(other, { ...options, scheme: "light" });
    assert.equal(control.console.length, 1, "the test detects console messages");
    assert.match(network.requests.filter(isFromPage).join(), /^GET http:\/\/example\.com\/x\.png/);
  },
});
