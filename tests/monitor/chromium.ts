/**
 * A headless Chromium that a test drives over the DevTools protocol.
 */

import { join } from "node:path";
import { hasCommand, until } from "../site.ts";

const BROWSERS = ["chromium", "chromium-browser", "google-chrome"];
const FLAGS = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-extensions"],
  ...["--remote-debugging-port=0", "--disable-dev-shm-usage"],
];

/** The name of the installed browser; undefined if there is none. */
export const BROWSER = await firstInstalled(BROWSERS);
/** A suffix for the titles of tests that are skipped without a browser. */
export const BROWSER_SKIPPED = BROWSER === undefined
  ? ` (SKIPPED: none of ${BROWSERS.join(", ")} is installed)`
  : "";

async function firstInstalled(names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    if (await hasCommand(name, "--version")) return name;
  }
  return undefined;
}

type Json = Readonly<Record<string, unknown>>;

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Json;
  readonly result?: Json;
  readonly error?: { readonly message: string };
}

/** A tab in a browser of its own. Disposing of it ends the browser. */
export class Tab implements AsyncDisposable {
  /** Console messages, script errors, and entries of the browser's log. */
  readonly messages: string[] = [];
  /** The URLs that the page requested. */
  readonly requested: string[] = [];
  readonly #process: Deno.ChildProcess;
  readonly #profile: string;
  readonly #socket: WebSocket;
  readonly #closed = Promise.withResolvers<void>();
  readonly #pending = new Map<number, PromiseWithResolvers<Json>>();
  #session: string | undefined;
  #count = 0;

  private constructor(process: Deno.ChildProcess, profile: string, socket: WebSocket) {
    this.#process = process;
    this.#profile = profile;
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#receive(JSON.parse(data)));
    socket.addEventListener("close", () => this.#closed.resolve());
  }

  static async open(): Promise<Tab> {
    const profile = await Deno.makeTempDir({ prefix: "orderflow-chromium-" });
    const process = new Deno.Command(BROWSER ?? "", {
      args: [...FLAGS, `--user-data-dir=${profile}`],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const portFile = join(profile, "DevToolsActivePort");
    let address: readonly string[] = [];
    await until("Chromium listens", () => {
      try {
        address = Deno.readTextFileSync(portFile).split("\n");
      } catch {
        // Chromium has not written the file yet.
      }
      return address.length === 2;
    });
    const socket = new WebSocket(`ws://127.0.0.1:${address[0]}${address[1]}`);
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    const tab = new Tab(process, profile, socket);
    const { targetId } = await tab.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await tab.send("Target.attachToTarget", { targetId, flatten: true });
    tab.#session = String(sessionId);
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await tab.send(`${domain}.enable`);
    return tab;
  }

  /** @throws {Error} if the browser returns an error */
  async send(method: string, params: Json = {}): Promise<Json> {
    const id = ++this.#count;
    const pending = Promise.withResolvers<Json>();
    this.#pending.set(id, pending);
    const session = this.#session === undefined ? {} : { sessionId: this.#session };
    this.#socket.send(JSON.stringify({ id, method, params, ...session }));
    return await pending.promise;
  }

  /** Navigates to a page in a viewport of the given width. */
  async show(url: string, { width, scheme }: {
    readonly width: number;
    readonly scheme: "light" | "dark";
  }): Promise<void> {
    const mobile = width < 600;
    await this.send("Emulation.setDeviceMetricsOverride", {
      ...{ width, height: 900, deviceScaleFactor: 1, mobile },
    });
    await this.send("Emulation.setEmulatedMedia", {
      features: [{ name: "prefers-color-scheme", value: scheme }],
    });
    await this.send("Page.navigate", { url });
  }

  async evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      ...{ expression, awaitPromise: true, returnByValue: true },
    });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { readonly value?: unknown }).value;
  }

  async press(key: string, text?: string): Promise<void> {
    const codes: Readonly<Record<string, number>> = { Tab: 9, Enter: 13, Escape: 27 };
    const params = { key, code: key, windowsVirtualKeyCode: codes[key] ?? 0 };
    await this.send("Input.dispatchKeyEvent", {
      ...{ type: text === undefined ? "rawKeyDown" : "keyDown", ...params },
      ...(text !== undefined && { text }),
    });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...params });
  }

  async screenshot(): Promise<Uint8Array> {
    const { data } = await this.send("Page.captureScreenshot", { captureBeyondViewport: true });
    return Uint8Array.fromBase64(String(data));
  }

  #receive({ id, method, params = {}, result, error }: Message): void {
    if (id !== undefined) {
      const pending = this.#pending.get(id);
      this.#pending.delete(id);
      if (error === undefined) pending?.resolve(result ?? {});
      else pending?.reject(new Error(error.message));
    } else if (method === "Network.requestWillBeSent") {
      this.requested.push((params["request"] as { readonly url: string }).url);
    } else if (
      ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"].includes(
        method ?? "",
      )
    ) {
      this.messages.push(JSON.stringify(params));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session = undefined;
    this.send("Browser.close").catch(() => {});
    await this.#process.status;
    this.#socket.close();
    await this.#closed.promise;
    await Deno.remove(this.#profile, { recursive: true });
  }
}
