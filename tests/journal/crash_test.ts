/**
 * Goal, method, and invariants: see `power_loss_test.ts`, but with a real process, disk, and signal. A child appends
 * to three partitions and is killed at a random moment, again and again.
 */

import assert from "node:assert/strict";
import { TextLineStream } from "./text_line_stream.ts";
import {
  heldNames,
  namesOf,
  newSeed,
  opened,
  recordsInFolder,
  seededRandom,
  TestFolder,
} from "./fixture.ts";

const CHILD = new URL("./crash_child.ts", import.meta.url).pathname;
const ROUND_COUNT = 6;
const FILE_LIMIT_BLOCKS = 600;
const BLOCK_BYTES = 512;

Deno.test("a process killed during an append leaves each acknowledged record once, and releases the folder", async () => {
  const seed = newSeed();
  const random = seededRandom(seed);
  using folder = new TestFolder();
  const acknowledged = [0, 0, 0];
  for (let round = 0; round < ROUND_COUNT; round++) {
    const child = startChild([Deno.execPath(), ...childArguments(folder, 1_000_000)]);
    let timer: ReturnType<typeof setTimeout> | undefined;
    for await (const line of child.lines) {
      if (line === "open") {
        timer = setTimeout(() => child.process.kill("SIGKILL"), random() * 400);
        continue;
      }
      const [, number, end] = /^(\d+) (\d+)$/.exec(line) ?? [];
      if (number !== undefined) acknowledged[Number(number)] = Number(end);
    }
    clearTimeout(timer);
    assert.equal((await child.process.status).signal, "SIGKILL");

    await using it = await opened(folder);
    const { records, badLineCount } = recordsInFolder(folder);
    assert.equal(badLineCount, 0, `seed ${seed}`);
    for (const [partition, end] of acknowledged.entries()) {
      const own = records.filter((name) => name.startsWith(`${partition}:`));
      assert.deepEqual(own, namesOf(partition, { start: 0, end: own.length }), `seed ${seed}`);
      assert.ok(own.length >= end, `missing: acknowledged ${end}, found ${own.length}`);
    }
    assert.equal(heldNames(it.journal, 3).length, records.length);
    assert.deepEqual(it.noticesOf("rebuilt"), []);
  }
  assert.ok(acknowledged.every((end) => end > 100), `acknowledged ${acknowledged}`);
});

Deno.test("a file-size limit stalls the journal without killing the process, until the limit is lifted", async (t) => {
  if (Deno.build.os !== "linux" || !await hasPrlimit()) {
    await t.step({ name: "SKIPPED: needs Linux and prlimit (util-linux)", ignore: true, fn() {} });
    return;
  }
  using folder = new TestFolder();
  const command = [Deno.execPath(), ...childArguments(folder, 1e12)].map((word) => `'${word}'`);
  const child = startChild([
    "sh",
    "-c",
    `ulimit -S -f ${FILE_LIMIT_BLOCKS}; exec ${command.join(" ")}`,
  ]);
  const seen: string[] = [];
  let isKilled = false;
  for await (const line of child.lines) {
    if (!line.startsWith("notice")) {
      // Also reads the output from before the process died.
      if (seen.includes("recovered") && !isKilled) child.process.kill("SIGKILL");
      isKilled ||= seen.includes("recovered");
      continue;
    }
    const kind = line.slice("notice ".length);
    seen.push(kind);
    if (kind !== "stalled") continue;
    assert.ok(Deno.statSync(folder.active).size <= FILE_LIMIT_BLOCKS * BLOCK_BYTES * 2);
    const lifting = new Deno.Command("prlimit", {
      args: ["--fsize=unlimited", "--pid", String(child.process.pid)],
    });
    assert.equal((await lifting.output()).success, true);
  }
  await child.process.status;
  assert.deepEqual(seen, ["created", "stalled", "recovered"]);
  await using it = await opened(folder);
  const { records, badLineCount } = recordsInFolder(folder);
  assert.equal(badLineCount, 0);
  assert.deepEqual(heldNames(it.journal, 3).sort(), [...records].sort());
  assert.equal(new Set(records).size, records.length);
});

function childArguments(folder: TestFolder, rotateBytes: number): string[] {
  return [
    "run",
    "--no-prompt",
    "--allow-read",
    "--allow-write",
    CHILD,
    folder.path,
    String(rotateBytes),
  ];
}

function startChild([command = "", ...args]: readonly string[]) {
  const process = new Deno.Command(command, { args, stdout: "piped" }).spawn();
  const lines = process.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(
    new TextLineStream(),
  );
  return { process, lines };
}

async function hasPrlimit(): Promise<boolean> {
  try {
    return (await new Deno.Command("prlimit", { args: ["--version"] }).output()).success;
  } catch {
    return false;
  }
}
