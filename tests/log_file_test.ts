import assert from "node:assert/strict";
import { join } from "node:path";
import { LogFile } from "../lib/log_file.ts";

const LINE = `${"x".repeat(99)}\n`;

async function withFolder(test: (folder: string) => void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-log-" });
  try {
    test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("LogFile limits its size, keeps five rotated files, and creates each file readable by its owner only", () =>
  withFolder((folder) => {
    const log = new LogFile(join(folder, "tracker.log"), { bytesMax: 250 });
    for (let index = 0; index < 20; index++) log.append(LINE);
    log.close();
    const files = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    assert.deepEqual(files, [
      "tracker.log",
      ...[1, 2, 3, 4, 5].map((index) => `tracker.log.${index}`),
    ]);
    for (const name of files) {
      const { mode, size } = Deno.statSync(join(folder, name));
      assert.equal((mode ?? 0) & 0o777, 0o600, name);
      assert.equal(size, 200, name);
    }
  }));

Deno.test("LogFile appends to an existing file, and continues after its file was removed", () =>
  withFolder((folder) => {
    const path = join(folder, "tracker.log");
    Deno.writeTextFileSync(path, LINE.repeat(2));
    const log = new LogFile(path, { bytesMax: 250 });
    log.append(LINE);
    assert.equal(Deno.statSync(`${path}.1`).size, 200);
    Deno.removeSync(path);
    log.append(LINE); // to the file that has been removed
    log.append(LINE);
    log.close();
    assert.equal(Deno.readTextFileSync(path), LINE);
  }));
