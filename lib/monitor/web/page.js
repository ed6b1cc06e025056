/*
 * The live page's script: asks for the figures once a second and shows them. Everything from a message is set as text;
 * the content security policy refuses markup (Trusted Types).
 */

import {
  create,
  inBytes,
  orUnknown,
  setText,
  showChart,
  showTable,
  timeOf,
  withThousands,
} from "./elements.js";

const POLL_MS = 1000;
const FETCH_TIMEOUT_MS = 5000;

/** The date of the figures, in UTC. */
let today = "";

const byId = (id) => document.getElementById(id);

/** Without the date where it is that of the figures. */
function shortTime(iso) {
  const time = timeOf(iso);
  return time.startsWith(today) ? time.slice(today.length + 1) : time;
}

function nameOf({ topic, partition, offset }) {
  return `${topic}/${partition}@${offset}`;
}

function showTiles(figures) {
  const latency = figures.end_to_end_latency_ms;
  const ms = (value) => `${withThousands(value)} ms`;
  const tiles = [
    ["received", withThousands(figures.received)],
    ["processed", withThousands(figures.processed)],
    ["failed", withThousands(figures.failed)],
    ["success", orUnknown(figures.success_rate_percent, (rate) => `${rate} %`)],
    ["messages a second", withThousands(figures.messages_per_second)],
    ["latency p50", orUnknown(latency?.p50, ms)],
    ["latency p99", orUnknown(latency?.p99, ms)],
    ["lag", orUnknown(figures.lag)],
    ["quality", `${figures.quality_score}/100`],
  ];
  const list = byId("tiles");
  if (list.children.length === 0) {
    for (const [name] of tiles) {
      const tile = create("div");
      tile.append(create("dt", "", name), create("dd"));
      list.append(tile);
    }
  }
  tiles.forEach(([, value], index) => setText(list.children[index].lastElementChild, value));
}

function showCharts({ start, step_seconds, messages_per_second, failed, lag }) {
  const ends = { from: `${timeOf(start).slice(11, 19)} UTC`, to: `${step_seconds} s a bar` };
  showChart(byId("throughput"), {
    ...ends,
    name: "messages a second",
    values: messages_per_second,
    color: "accent",
  });
  showChart(byId("failed"), { ...ends, name: "failed records", values: failed, color: "bad" });
  if (lag.length === 0) return setText(byId("lag"), "unknown");
  showChart(byId("lag"), {
    name: "lag",
    values: lag,
    color: "warning",
    from: `${lag.length} s ago`,
    to: "now",
  });
}

function recordRows(records) {
  return records.map((record) => ({
    key: `${nameOf(record)} ${record.at}`,
    cells: [
      shortTime(record.at),
      { text: nameOf(record), onPress: () => openRecord(record) },
      { text: record.kind, className: record.kind === "processed" ? "good" : "bad" },
      record.error ?? record.order_id ?? record.order?.order_id ?? record.key ?? "",
    ],
  }));
}

const RECORD_COLUMNS = ["=at (UTC)", "record", "kind", "+what"];

function counts(rows) {
  return rows.map(([name, count]) => ({ key: name, cells: [name, withThousands(count)] }));
}

function show({ figures, page }) {
  today = figures.taken_at.slice(0, 10);
  document.title = `${page.status}: orderflow`;
  const status = byId("status");
  status.className = page.level;
  setText(status, page.status);
  setText(byId("sentence"), page.sentence);
  setText(
    byId("about"),
    `${page.folder}, tracker ${figures.state}; newest record ${
      timeOf(figures.newest_event_at)
    } UTC`,
  );
  showTiles(figures);
  showCharts(page.charts);
  const reasons = byId("reasons");
  reasons.replaceChildren(...figures.reasons.map((reason) => create("li", "", reason)));
  showTable(
    byId("checks"),
    ["check", "level", "+why"],
    figures.checks.map(({ name, level, reason }) => ({
      key: name,
      cells: [name, { text: level, className: level }, reason],
    })),
  );
  const why = new Map(
    (figures.tracker_status?.partitions ?? []).map(({ partition, reason }) => [partition, reason]),
  );
  showTable(
    byId("partitions"),
    ["partition", "#received", "#failed", "#last offset", "#msg/s", "#lag", "+why it waits"],
    figures.partitions.map((each) => ({
      key: `${each.topic}/${each.partition}`,
      cells: [
        `${each.topic}/${each.partition}`,
        withThousands(each.received),
        withThousands(each.failed),
        String(each.last_offset),
        withThousands(each.messages_per_second),
        orUnknown(each.lag),
        each.topic === figures.tracker_status?.topic ? why.get(each.partition) ?? "" : "",
      ],
    })),
  );
  byId("no-failures").hidden = page.failures.length > 0;
  showTable(byId("failures"), RECORD_COLUMNS, recordRows(page.failures));
  showTable(byId("recent"), RECORD_COLUMNS, recordRows(figures.recent_events.toReversed()));
  showTable(byId("orders"), ["orders", "#"], counts(Object.entries(figures.orders_by_status)));
  showTable(
    byId("revenue"),
    ["revenue", "#in all", "#a minute"],
    figures.revenue.map((each) => ({
      key: each.currency,
      cells: [each.currency, withThousands(each.total), withThousands(each.per_minute)],
    })),
  );
  showTable(
    byId("products"),
    ["product", "#units"],
    counts(figures.top_products.map((each) => [each.name, each.units])),
  );
  showTable(
    byId("customers"),
    ["customer", "#orders"],
    counts(figures.top_customers.map((each) => [each.name, each.orders])),
  );
  showTable(
    byId("log"),
    ["=at (UTC)", "level", "+message"],
    figures.recent_logs.toReversed().map((each, index) => ({
      key: `${each.at} ${each.message} ${index}`,
      cells: [
        shortTime(each.at),
        each.level,
        [each.message, each.error, each.details].filter(Boolean).join("; "),
      ],
    })),
  );
  setText(
    byId("footer"),
    `orderflow ${page.version}; ${inBytes(figures.files.journal?.read_bytes ?? 0)} of journal read`,
  );
}

async function ask(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body;
}

/** Undefined where nothing is searched for; otherwise the query of /api/search. */
let searched;

async function showSearch() {
  if (searched === undefined) return;
  const query = searched;
  const found = await askOrLose(`api/search?${query}`);
  if (found === undefined || query !== searched) return;
  const reach = found.total_bytes === 0
    ? ""
    : ` in ${inBytes(found.read_bytes)} of ${inBytes(found.total_bytes)}, newest first`;
  const count = found.match_count;
  const matches = `${withThousands(count)} ${count === 1 ? "match" : "matches"}${reach}`;
  const ends = {
    searching: `Searching: ${matches}`,
    complete: `${matches}: the whole journal was searched`,
    limited:
      `${matches}: the search ended there; older records may match, tracker search finds all`,
  };
  const isCut = found.records.length < count;
  setText(
    byId("progress"),
    ends[found.progress] + (isCut ? `; the newest ${found.records.length} are listed` : ""),
  );
  showTable(byId("found"), RECORD_COLUMNS, recordRows(found.records));
}

function beginSearch(query) {
  searched = query;
  byId("end-search").hidden = query === undefined;
  setText(byId("progress"), query === undefined ? "" : "Searching");
  showTable(byId("found"), RECORD_COLUMNS, []);
  showSearch();
}

async function openRecord(place) {
  const dialog = byId("record");
  setText(byId("record-title"), nameOf(place));
  showTable(byId("record-rows"), ["field", "+value"], []);
  setText(byId("record-value"), "");
  dialog.showModal();
  const { topic, partition, offset } = place;
  try {
    const { records } = await ask(
      `api/record?${new URLSearchParams({ topic, partition, offset })}`,
    );
    showRecord(records.at(-1));
  } catch (error) {
    setText(byId("record-value"), `It cannot be shown: ${error.message}`);
  }
}

function showRecord(line) {
  const headers = (line.kafka_headers ?? []).map(({ key, value, value_base64 }) => [
    "header",
    `${key}: ${value ?? (value_base64 === undefined ? "null" : `${value_base64} (base64)`)}`,
  ]);
  const millis = Number(line.kafka_timestamp);
  const isTime = line.kafka_timestamp !== undefined && Math.abs(millis) <= 8.64e15;
  const rows = [
    ["received", timeOf(line.timestamp)],
    ["timestamp", isTime ? timeOf(new Date(millis).toISOString()) : undefined],
    ["failed", line.error],
    ["key", line.kafka_key ?? line.kafka_key_base64],
    ...headers,
    ["size", inBytes(line.message_size ?? 0)],
    ["mark", line.mark],
    ["leader epoch", line.kafka_leader_epoch],
  ].filter(([, value]) => value !== undefined);
  showTable(
    byId("record-rows"),
    ["field", "+value"],
    rows.map(([name, value], index) => ({ key: `${index} ${name}`, cells: [name, value] })),
  );
  setText(byId("record-value"), valueOf(line));
}

function valueOf(line) {
  if (line.value_null) return "null (a tombstone)";
  if (line.value_omitted) {
    return `not kept: ${line.value_omitted.size} bytes, SHA-256 ${line.value_omitted.sha256}`;
  }
  if (line.raw_message_base64) return `${line.raw_message_base64} (base64)`;
  // The order was read from these bytes; where there is none, they are shown as they are.
  return line.order_full ? JSON.stringify(line.order_full, null, 2) : line.raw_message;
}

function showLost(isLost) {
  document.body.classList.toggle("stale", isLost);
  const note = byId("connection");
  note.hidden = !isLost;
  setText(note, isLost ? "The monitor does not answer; trying again. The figures are old." : "");
}

/** As {@link ask}; undefined where there is no answer, which the page then says. */
async function askOrLose(path) {
  try {
    const body = await ask(path);
    showLost(false);
    return body;
  } catch {
    showLost(true);
    return undefined;
  }
}

async function poll() {
  try {
    const answer = await askOrLose("api/figures");
    if (answer === undefined) return;
    show(answer);
    await showSearch();
  } finally {
    setTimeout(poll, POLL_MS);
  }
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("text").value;
  beginSearch(text === "" ? undefined : new URLSearchParams({ text }).toString());
});
byId("all-failed").addEventListener("click", () => beginSearch("failed"));
byId("end-search").addEventListener("click", () => beginSearch(undefined));
byId("close-record").addEventListener("click", () => byId("record").close());
poll();
