import assert from "node:assert/strict";
import { join } from "node:path";
import { freePort, LOOPBACK } from "../../dev/local_port.ts";
import { liveBroker } from "../live_broker.ts";
import { createSite, hasCommand, until } from "../site.ts";

await liveBroker();
const DEPLOY = join(import.meta.dirname ?? ".", "..", "..", "deploy");
const PROJECT = join(DEPLOY, "..");
const hasPromtool = await hasCommand("promtool", "--version");
const hasSystemdAnalyze = await hasCommand("systemd-analyze", "--version");
const skipped = (tool: string, isThere: boolean) => isThere ? "" : ` (SKIPPED: no ${tool} here)`;

/** Undefined if nothing listens yet. */
async function scrape(port: number): Promise<string | undefined> {
  try {
    const response = await fetch(`http://${LOOPBACK}:${port}/metrics`);
    const text = await response.text();
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert.match(text, /^# HELP .*\n# TYPE /);
    return text;
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

function samplesOf(text: string): ReadonlyMap<string, number> {
  return new Map(
    text.trimEnd().split("\n").filter((line) => !line.startsWith("#")).map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

function sum(samples: ReadonlyMap<string, number>, name: string): number {
  return [...samples].filter(([key]) => key === name || key.startsWith(`${name}{`))
    .reduce((total, [, value]) => total + value, 0);
}

async function untilScraped(
  port: number,
  condition: (samples: ReadonlyMap<string, number>) => boolean,
): Promise<string> {
  let text: string | undefined;
  await until("the metrics show it", async () => {
    text = await scrape(port);
    return text !== undefined && condition(samplesOf(text));
  }).catch((error) => assert.fail(`${error}\n${text}`));
  return text ?? "";
}

async function promtool(args: readonly string[], stdin = ""): Promise<void> {
  const process = new Deno.Command("promtool", {
    args: [...args],
    cwd: PROJECT,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin));
  await writer.close();
  const { code, stdout, stderr } = await process.output();
  const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert.equal(code, 0, output);
  assert.doesNotMatch(output, /FAILED/);
}

const COUNT = 60;
const scraped: { tracker: string; producer: string } = { tracker: "", producer: "" };

Deno.test("the tracker's /metrics match its totals, partitions, and journal, and contain no record data", async () => {
  await using site = await createSite();
  const port = freePort();
  const tracker = await site.start("tracker", ["--health-port", String(port), "--quiet"]);
  await untilScraped(port, (samples) => samples.get("orderflow_tracker_ready") === 1);
  const produced = await site.run("producer", [
    ...["--rate", "max", "--count", String(COUNT), "--json"],
    ...["--bad", "30", "--bad-kinds", "malformed-json,bad-email", "--seed", "3"],
  ]);
  assert.equal(produced.code, 0, produced.stderr);
  const letters = JSON.parse(produced.stdout).dead_letters_expected;
  assert.ok(letters > 0);
  const text = scraped.tracker = await untilScraped(
    port,
    (samples) =>
      sum(samples, "orderflow_tracker_committed_offset") === COUNT &&
      samples.get("orderflow_tracker_dead_letters_total") === letters &&
      [...samples].filter(([key]) => key.includes("_lag_records{")).length === 3 &&
      sum(samples, "orderflow_tracker_lag_records") === 0,
  );
  const samples = samplesOf(text);
  assert.equal(samples.get("orderflow_tracker_records_total"), COUNT);
  assert.equal(sum(samples, "orderflow_tracker_failures_total"), letters);
  for (const reason of ["DESERIALIZATION", "VALIDATION"]) {
    const lines = (await site.journal()).filter(({ event_type }) =>
      String(event_type).includes(`${reason.toLowerCase()}_error`)
    );
    assert.equal(
      samples.get(`orderflow_tracker_failures_total{reason="${reason}"}`),
      lines.length,
    );
  }
  assert.equal(sum(samples, "orderflow_tracker_position_offset"), COUNT);
  assert.equal(samples.get('orderflow_tracker_state{state="consuming"}'), 1);
  assert.equal(sum(samples, "orderflow_tracker_state"), 1);
  assert.equal(samples.get("orderflow_tracker_blocked_partitions"), 0);
  assert.equal(samples.get("orderflow_tracker_end_to_end_latency_seconds_count"), COUNT);
  assert.ok(sum(samples, "orderflow_tracker_journal_flush_duration_seconds_count") > 0);
  const { size } = await Deno.stat(join(site.logs, "tracker.events"));
  assert.equal(samples.get("orderflow_tracker_journal_bytes"), size);
  const version = JSON.parse(Deno.readTextFileSync(join(PROJECT, "deno.json"))).version;
  assert.match(text, new RegExp(`orderflow_tracker_build_info\\{version="${version}",.*\\} 1\n`));

  const labels = new Set([...text.matchAll(/[{,](\w+)="/g)].map(([, label]) => label));
  for (
    const name of ["version", "deno", "os", "arch", "topic", "group", "partition", "reason"]
  ) labels.delete(name);
  assert.deepEqual([...labels].sort(), ["le", "state"], "no label contains record data");

  // A journal that cannot be read has an unknown size, not 0.
  await Deno.rename(site.logs, `${site.logs}.away`);
  const without = await untilScraped(port, (each) => each.has("orderflow_tracker_records_total"));
  await Deno.rename(`${site.logs}.away`, site.logs);
  assert.doesNotMatch(without, /journal_bytes/);
  tracker.signal("SIGTERM");
  assert.equal(await tracker.exitCode, 0, tracker.output.stderr);
});

Deno.test("the producer's /metrics with --metrics-port match its accounts, and --rate max has no planned rate", async () => {
  await using site = await createSite();
  const port = freePort();
  const args = ["--rate", "200", "--metrics-port", String(port), "--json"];
  const producer = await site.start("producer", args);
  const text = scraped.producer = await untilScraped(
    port,
    (samples) => (samples.get("orderflow_producer_records_acknowledged_total") ?? 0) >= COUNT,
  );
  const samples = samplesOf(text);
  const of = (name: string) => samples.get(`orderflow_producer_${name}`) ?? NaN;
  const settled = ["acknowledged", "failed", "undelivered", "unknown"]
    .reduce((total, outcome) => total + of(`records_${outcome}_total`), 0);
  assert.equal(of("records_generated_total"), settled + of("in_flight_records"));
  assert.ok(of("records_planned_total") >= of("records_generated_total"));
  assert.ok(of("acknowledged_bytes_total") > COUNT * 100);
  assert.equal(of("latency_seconds_count"), of("records_acknowledged_total"));
  assert.equal(of("throttled_seconds_total"), 0);
  assert.match(text, /orderflow_producer_build_info\{version="/);
  const status = async (method: string, path: string) => {
    const response = await fetch(`http://${LOOPBACK}:${port}${path}`, { method });
    await response.body?.cancel();
    return response.status;
  };
  assert.deepEqual([await status("POST", "/metrics"), await status("GET", "/")], [405, 404]);
  producer.signal("SIGTERM");
  assert.equal(await producer.exitCode, 0, producer.output.stderr);

  const unplanned = await site.start("producer", ["--rate", "max", ...args.slice(2)]);
  const other = await untilScraped(
    port,
    (each) => (each.get("orderflow_producer_records_acknowledged_total") ?? 0) > 0,
  );
  assert.doesNotMatch(other, /records_planned|behind_seconds/);
  unplanned.signal("SIGTERM");
  assert.equal(await unplanned.exitCode, 0);

  using taken = Deno.listen({ hostname: LOOPBACK, port: 0 });
  const refused = await site.run("producer", ["--metrics-port", String(taken.addr.port)]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /^error: cannot serve metrics at 127\.0\.0\.1:\d+ \(.*\n$/);
});

Deno.test({
  name: `promtool check metrics accepts the metrics of both programs${
    skipped("promtool", hasPromtool)
  }`,
  ignore: !hasPromtool,
  fn: async () => {
    for (const text of [scraped.tracker, scraped.producer]) {
      await promtool(["check", "metrics"], text);
    }
  },
});

Deno.test({
  name: `promtool accepts the alerts, and their tests pass${skipped("promtool", hasPromtool)}`,
  ignore: !hasPromtool,
  fn: async () => {
    await promtool(["check", "rules", join(DEPLOY, "prometheus", "alerts.yaml")]);
    await promtool(["test", "rules", join(DEPLOY, "prometheus", "alerts_test.yaml")]);
    await promtool(["check", "config", join(DEPLOY, "prometheus", "prometheus.yaml")]);
  },
});

Deno.test("alerts, their tests, and the dashboard refer only to metrics that exist", () => {
  const served = new Set([...(scraped.tracker + scraped.producer)
    .matchAll(/^(\w+)(?:\{.*\})? /gm)].map(([, name]) => name));
  for (
    const [path, countMin] of [
      ["prometheus/alerts.yaml", 6],
      ["prometheus/alerts_test.yaml", 10],
      ["grafana/orderflow.json", 15],
    ] as const
  ) {
    const text = Deno.readTextFileSync(join(DEPLOY, path));
    const names = [...text.matchAll(/\borderflow_\w+/g)].map(([name]) => name);
    assert.ok(names.length > countMin, `${path} refers to metrics`);
    for (const name of names) assert.ok(served.has(name), `${path}: ${name} is not served`);
  }
  const { panels } = JSON.parse(Deno.readTextFileSync(join(DEPLOY, "grafana", "orderflow.json")));
  for (const { targets } of panels) {
    for (const { expr } of targets) assert.match(expr, /orderflow_(?:tracker|producer)_\w+/);
  }
});

const UNIT = join(DEPLOY, "systemd", "orderflow-tracker@.service");

Deno.test({
  name: `systemd-analyze verify accepts the unit${skipped("systemd-analyze", hasSystemdAnalyze)}`,
  ignore: !hasSystemdAnalyze,
  fn: async () => {
    const command = new Deno.Command("systemd-analyze", { args: ["verify", UNIT] });
    const { code, stderr } = await command.output();
    assert.deepEqual([code, new TextDecoder().decode(stderr)], [0, ""]);
  },
});

Deno.test("the unit's command line runs a tracker with exactly the task's permissions", async () => {
  await using site = await createSite();
  const port = freePort();
  const [, command = ""] = /^ExecStart=(.*)$/m.exec(Deno.readTextFileSync(UNIT)) ?? [];
  const { tasks } = JSON.parse(Deno.readTextFileSync(join(PROJECT, "deno.json")));
  for (const [permission] of command.matchAll(/--allow-[a-z]+/g)) {
    assert.ok(tasks.tracker.command.includes(permission), permission);
  }
  const [program = "", ...args] = command
    .replaceAll("/opt/orderflow", PROJECT).replaceAll("%S", site.folder).replaceAll("%i", "unit")
    .replace("8088", String(port))
    .replace("$TRACKER_OPTIONS", `--exit-at-end --dead-letters ${site.deadLetterTopic}`)
    .split(" ");
  assert.equal((await site.run("producer", ["--rate", "max", "--count", "5"])).code, 0);
  await Deno.mkdir(join(site.folder, "orderflow", "unit"), { recursive: true }); // StateDirectory=
  const { code, stderr } = await new Deno.Command(program, {
    args,
    cwd: PROJECT,
    env: { KAFKA_BROKER: site.broker, KAFKA_TOPIC: site.topic, KAFKA_CONSUMER_GROUP: site.group },
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  assert.equal((await site.journal(join(site.folder, "orderflow", "unit"))).length, 5);
});
