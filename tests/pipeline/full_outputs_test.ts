/**
 * Tests programs whose files or standard output cannot be written any more. A file-size limit stands in for a full
 * disk: it needs no right to mount, and can be lifted while the program runs.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { argsOfTask } from "../../dev/programs.ts";
import { readLedger } from "../../lib/producer/ledger.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, type Ended, hasCommand, type Site, until } from "../site.ts";

await liveBroker();

const LIMIT_BYTES = 20_000;
const isLinux = Deno.build.os === "linux";
const noLimit = !isLinux || !await hasCommand("prlimit", "--version");
const noDeviceFull = !isLinux;

async function setFileLimit(pid: number, limit: string): Promise<void> {
  const args = [`--fsize=${limit}`, "--pid", String(pid)];
  const { success } = await new Deno.Command("prlimit", { args }).output();
  assert.ok(success, `prlimit ${args.join(" ")}`);
}

async function startLimited(site: Site, args: readonly string[]) {
  const producer = await site.start("producer", [
    ...args,
    "--ledger",
    "logs/ledger.jsonl",
    "--log-level",
    "info",
  ]);
  await until("it has begun", () => /delivered/.test(producer.output.stdout));
  await setFileLimit(producer.pid, `${LIMIT_BYTES}:unlimited`);
  await until(
    "the ledger is full",
    () => /ERROR An output file cannot be written/.test(producer.output.stderr),
  );
  return producer;
}

async function ledgerOf(site: Site) {
  return await Array.fromAsync(readLedger(join(site.folder, "logs", "ledger.jsonl")));
}

function acknowledged(stdout: string): number {
  const [, count = ""] = /= ([\d,]+) acknowledged \+ 0 failed \+ 0 undelivered \+ 0 unknown/
    .exec(stdout) ?? [];
  return Number(count.replaceAll(",", ""));
}

Deno.test({
  name:
    "producer on a disk that stays full: exact accounts, a ledger of complete lines, a report of what is missing, exit code 1",
  ignore: noLimit,
  fn: async () => {
    await using site = await createSite();
    const producer = await startLimited(site, [
      ...["--rate", "300", "--hdr", "logs/latency.hgrm"],
      ...["--series", "logs/series.csv", "--report", "logs/report.html"],
    ]);
    await setFileLimit(producer.pid, "100:unlimited"); // so that the other files do not fit either
    producer.signal("SIGTERM");
    assert.equal(await producer.exitCode, 1);
    const { stdout, stderr } = producer.output;
    const ledger = await ledgerOf(site);
    const [, missing = ""] = /ledger\.jsonl is incomplete: ([\d,]+) lines? could not be/
      .exec(stderr) ?? [];
    assert.equal(ledger.length + Number(missing.replaceAll(",", "")), acknowledged(stdout), stderr);
    const text = await Deno.readTextFile(join(site.folder, "logs", "ledger.jsonl"));
    assert.ok(text.endsWith("\n"));
    assert.match(stderr, /latency\.hgrm could not be written \(File too large/);
    assert.match(stderr, /report\.html could not be written \(File too large/);
    for (const name of ["latency.hgrm", "report.html"]) {
      assert.equal((await Deno.stat(join(site.folder, "logs", name))).size, 0, name);
    }
    assert.match(stderr, /series\.csv is incomplete: \d+ lines? could not be written/);
    const series = await Deno.readTextFile(join(site.folder, "logs", "series.csv"));
    assert.match(series, /^seconds,planned,.*\n([\d.,]+\n)*$/);
    assert.doesNotMatch(stderr, /^\s+at /m);
    const { code } = await site.run("tracker", ["--exit-at-end", "--quiet"]);
    assert.equal(code, 0);
    assert.equal(
      (await site.journal()).length,
      acknowledged(stdout),
      "the topic has as many records",
    );
  },
});

Deno.test({
  name: "producer on a disk that has room again in time: a complete ledger, exit code 0",
  ignore: noLimit,
  fn: async () => {
    await using site = await createSite();
    const producer = await startLimited(site, ["--rate", "300"]);
    await setFileLimit(producer.pid, "unlimited");
    await until(
      "it is written again",
      () => /output file can be written again/.test(producer.output.stderr),
    );
    producer.signal("SIGTERM");
    assert.equal(await producer.exitCode, 0, producer.output.stderr);
    const ledger = await ledgerOf(site);
    assert.equal(ledger.length, acknowledged(producer.output.stdout));
    assert.equal(new Set(ledger.map(({ order_id }) => order_id)).size, ledger.length);
  },
});

async function runRedirected(
  site: Site,
  name: "producer" | "tracker" | "monitor",
  { args, to }: { readonly args: readonly string[]; readonly to: string },
): Promise<Ended> {
  const command = [Deno.execPath(), ...await argsOfTask(name), ...args];
  const { code, stdout, stderr } = await new Deno.Command("bash", {
    args: ["-c", `set -o pipefail; "$@" ${to}`, "bash", ...command],
    cwd: site.folder,
    env: { KAFKA_BROKER: site.broker, KAFKA_TOPIC: site.topic },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test({
  name:
    "a full or closed standard output is reported without a stack trace; the result goes to standard error; exit code 1",
  ignore: noDeviceFull,
  fn: async () => {
    await using site = await createSite();
    const track = ["--group", site.group, "--logs", site.logs, "--dead-letters", "none"];
    const runs = [
      { name: "producer", args: ["--rate", "50", "--count", "20"], result: /20 orders generated/ },
      { name: "tracker", args: [...track, "--exit-at-end"], result: /20 records received/ },
      { name: "tracker", args: ["verify", "--logs", site.logs], result: /exactly once/ },
      { name: "monitor", args: ["--once", "--logs", site.logs], result: /^/ },
      { name: "monitor", args: ["--json", "--logs", site.logs], result: /^/ },
      { name: "producer", args: ["--help"], result: /^/ },
    ] as const;
    for (const { name, args, result } of runs) {
      const { code, stderr } = await runRedirected(site, name, { args, to: "> /dev/full" });
      assert.equal(code, 1, `${name} ${args.join(" ")}: ${stderr}`);
      assert.match(stderr, /^Cannot write to standard output: No space left on device$/m);
      assert.match(stderr, result);
      assert.doesNotMatch(stderr, /^\s+at /m);
    }
    const closed = await runRedirected(site, "producer", {
      args: ["--rate", "20", "--count", "20"],
      to: "| head -1",
    });
    assert.equal(closed.code, 1);
    assert.match(closed.stdout, /^delivered .*\n$/);
    assert.match(closed.stderr, /^Cannot write to standard output: Broken pipe$/m);
    assert.match(closed.stderr, /^20 orders generated = 20 acknowledged/m);
  },
});
