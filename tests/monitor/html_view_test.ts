import assert from "node:assert/strict";
import { formatHtml } from "../../lib/monitor/views/html_view.ts";
import { formatJson } from "../../lib/monitor/views/json_view.ts";
import { ReadModel } from "../../lib/monitor/model/read_model.ts";
import { feed, journalLine, logLine, orderJson, VALIDATION_FAILURE } from "./journal_lines.ts";

const NOW_MS = Date.UTC(2026, 4, 1, 12, 0, 0);

function modelOf(lines: readonly string[], logs: readonly string[] = []): ReadModel {
  const model = new ReadModel();
  model.tick(NOW_MS);
  for (const line of lines) feed(model.journal, line);
  for (const line of logs) feed(model.log, line);
  return model;
}

function withoutMarkup(html: string): string {
  return html.replace(/<style>.*<\/style>/s, "").replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");
}

Deno.test("the page shows the same figures as the JSON", () => {
  const lines = Array.from({ length: 1_500 }, (_, offset) =>
    journalLine({
      receivedAtMs: NOW_MS - (1_500 - offset) * 100,
      offset,
      partition: offset % 3,
      ...(offset % 50 === 0 && { verdict: VALIDATION_FAILURE }),
    }));
  const snapshot = modelOf(lines).snapshot({ nowMs: NOW_MS });
  const figures = JSON.parse(formatJson(snapshot));
  const page = withoutMarkup(formatHtml(snapshot, { folder: "logs" }));
  assert.match(page, /received 1,500 processed 1,470 failed 30 success 98 %/);
  assert.match(page, new RegExp(`Quality ${figures.quality_score}/100`));
  for (const { partition, last_offset } of figures.partitions) {
    assert.match(page, new RegExp(`orders/${partition} 500 \\d+ ${last_offset} `));
  }
  assert.match(page, /EUR 21,315\.00/);
  assert.match(page, /validation 30/);
  for (const reason of figures.reasons) assert.ok(page.includes(reason), reason);
});

Deno.test("the page escapes markup in messages and loads no resources", () => {
  const hostile = '</td><script>alert(1)</script><img src=x onerror="x">\u001b[2J\u202e';
  const order = JSON.parse(orderJson(0));
  order.customer_info = { customer_id: hostile, name: hostile };
  order.items[0].item_name = hostile;
  order.currency = hostile.slice(0, 60);
  const html = formatHtml(
    modelOf(
      [
        journalLine({ receivedAtMs: NOW_MS, value: JSON.stringify(order) }),
        journalLine({
          receivedAtMs: NOW_MS,
          offset: 1,
          topic: hostile,
          verdict: { ...VALIDATION_FAILURE, error: hostile },
        }),
      ],
      [logLine({ atMs: NOW_MS, level: hostile, message: hostile, error: hostile })],
    ).snapshot({ nowMs: NOW_MS }),
    { folder: hostile },
  );
  assert.doesNotMatch(html, /<script|<img|<link|<iframe|https?:|url\(/i);
  assert.ok(!html.includes("\u001b") && !html.includes("\u202e"));
  assert.match(html, /default-src 'none'/);
  assert.ok(html.split("&lt;script&gt;").length > 5, "markup is shown as text");
});

Deno.test("the page of an empty folder reports that there is no data yet", () => {
  const page = withoutMarkup(
    formatHtml(modelOf([]).snapshot({ nowMs: NOW_MS }), { folder: "logs" }),
  );
  assert.match(page, /NO DATA/);
  assert.match(page, /there is no journal and no log yet/);
});
