import { join } from "node:path";
import { journalLine, VALIDATION_FAILURE } from "./journal_lines.ts";

/** A tracker's folder that is removed at the end of the test. */
export class Logs implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "orderflow-monitor-" });
  #offset = 0;
  #segmentCount = 0;

  journal(text: string): void {
    Deno.writeTextFileSync(join(this.path, "tracker.events"), text, { append: true });
  }
  log(text: string): void {
    Deno.writeTextFileSync(join(this.path, "tracker.log"), text, { append: true });
  }
  orders(count: number, ageMs = 0): void {
    const lines = Array.from({ length: count }, () =>
      journalLine({
        receivedAtMs: Date.now() - ageMs,
        offset: this.#offset++,
        ...(this.#offset % 50 === 0 && { verdict: VALIDATION_FAILURE }),
      }));
    this.journal(lines.join(""));
  }
  rotate(): void {
    const live = join(this.path, "tracker.events");
    const number = String(++this.#segmentCount).padStart(6, "0");
    Deno.renameSync(live, `${live}.${number}`);
    this.journal("");
  }
  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}
