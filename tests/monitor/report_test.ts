import assert from "node:assert/strict";
import { ReadModel } from "../../lib/monitor/model/read_model.ts";
import { outcomeOf } from "../../lib/monitor/model/outcome.ts";
import { judgeStatus } from "../../lib/monitor/tail/status_reading.ts";
import { formatHtml } from "../../lib/monitor/views/html_view.ts";
import { feed, journalLine, logLine, VALIDATION_FAILURE } from "./journal_lines.ts";
import { Logs } from "./logs.ts";

const NOW_MS = Date.UTC(2026, 4, 1, 12);
const ROOT = new URL("../../", import.meta.url);

function withMark(line: string, mark: string): string {
  return line.replace(/\}\n$/, `,"mark":${JSON.stringify(mark)}}\n`);
}

const STOPPED = { messages_received: 100, stopped: true };

/** A run that ended an hour ago: 100 records, the last one failed, and the tracker stopped normally. */
function finishedRun({ mark }: { readonly mark?: string } = {}): ReadModel {
  const model = new ReadModel();
  model.tick(NOW_MS);
  for (let index = 0; index < 100; index++) {
    const line = journalLine({
      receivedAtMs: NOW_MS - 3_700_000 + index * 1_000,
      offset: 10 + index,
      ...(index === 99 && { verdict: VALIDATION_FAILURE }),
    });
    feed(model.journal, index === 0 && mark !== undefined ? withMark(line, mark) : line);
  }
  const atMs = NOW_MS - 3_600_000;
  feed(model.log, logLine({ atMs, message: "The tracker stopped", metadata: STOPPED }));
  return model;
}

Deno.test("the page of a finished run has a summary, failures over time, values in tooltips, and its command line", () => {
  const snapshot = finishedRun().snapshot({ nowMs: NOW_MS });
  const html = formatHtml(snapshot, { folder: "logs", commandLine: "monitor --logs <x> --html" });
  assert.match(html, /<h1>orderflow <span class="good">FINISHED</);
  assert.match(
    html,
    /100 records were journaled: 99 processed, 1 failed, and 0 dead letters sent\. Nothing was lost/,
  );
  assert.match(html, /Failed records, each 1 s/);
  assert.equal(html.match(/<title>[^<]*: 1 failed<\/title>/g)?.length, 1);
  assert.match(html, /<title>2026-05-01 10:58:20: 1 msg\/s<\/title>/);
  assert.match(html, /monitor --logs &lt;x&gt; --html.*orderflow \d+\.\d+\.\d+/s);
  assert.doesNotMatch(html, /STALE|no data for|>ok</);
  assert.deepEqual(outcomeOf(snapshot), {
    isFinished: true,
    problems: [],
    sentence: "100 records were journaled: 99 processed, 1 failed, and 0 dead letters sent. " +
      "Nothing was lost, as far as the journal shows.",
  });
});

Deno.test("the report shows lost records and why the tracker ended", () => {
  const mark = "offsets 0 to 9 were deleted before they were read";
  const model = finishedRun({ mark });
  feed(model.journal, "junk\n");
  const reason = "the topic is gone";
  const timestamp = new Date(NOW_MS - 3_600_000).toISOString();
  const status = judgeStatus(JSON.stringify({ timestamp, state: "stopped", reason }), NOW_MS);
  const snapshot = model.snapshot({ nowMs: NOW_MS, status });
  assert.deepEqual(outcomeOf(snapshot).problems, [
    "failed: the topic is gone",
    "10 records expired in the topic before they were read",
    "1 line of the journal cannot be read",
  ]);
  assert.match(formatHtml(snapshot, { folder: "logs" }), /class="bad">FINISHED WITH PROBLEMS/);
});

Deno.test("the report shows the final lag and latency, and no current rate", () => {
  const timestamp = new Date(NOW_MS - 3_600_000).toISOString();
  const stopped = {
    timestamp,
    state: "stopped",
    topic: "orders",
    latency_ms: { p50: 12, p99: 90.5, max: 90 },
    partitions: [{ partition: 0, position: 110, committed: 110, lag: 7 }],
  };
  const status = judgeStatus(JSON.stringify(stopped), NOW_MS);
  const html = formatHtml(finishedRun().snapshot({ nowMs: NOW_MS, status }), { folder: "logs" });
  const page = html.replace(/<style>.*<\/style>/s, "").replace(/<[^>]*>/g, " ").replace(
    /\s+/g,
    " ",
  );
  assert.match(page, /latency p50 12 ms end to end; p99 90 ms lag 7 when the tracker stopped/);
  assert.match(page, /partition received failed last offset lag orders\/0 100 1 109 7 /);
});

Deno.test("monitor --html exits with 0 for a finished run without problems, else with the code of the problem", async () => {
  const codeOf = async (logs: Logs) => {
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--allow-read", "monitor.ts", "--html", "--logs", logs.path],
      cwd: ROOT,
    }).output();
    return code;
  };
  using logs = new Logs();
  logs.orders(5, 600_000);
  assert.equal(await codeOf(logs), 3, "a tracker that did not report its stop");
  logs.log(logLine({
    atMs: Date.now() - 500_000,
    message: "The tracker stopped",
    metadata: STOPPED,
  }));
  assert.equal(await codeOf(logs), 0);
  logs.journal("junk\n");
  assert.equal(await codeOf(logs), 1);
});
