import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { DeliveryReport, Outcome } from "../../lib/producer/delivery.ts";
import { LedgerFile, readLedger } from "../../lib/producer/ledger.ts";

const SILENT = { onFailure() {}, onRecovery() {} };

function report(sequence: number, outcome: Outcome): DeliveryReport {
  const value = new TextEncoder().encode(`value ${sequence}`);
  return {
    record: {
      orderId: `order-${sequence}`,
      sequence,
      partition: sequence % 3,
      key: null,
      value,
      plannedAtMs: 0,
    },
    outcome,
  };
}

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-ledger-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("LedgerFile writes each acknowledged record once, readable only by its owner, and readLedger() reads it back", () =>
  withFolder(async (folder) => {
    const path = join(folder, "ledger.jsonl");
    const ledger = new LedgerFile(path, SILENT);
    for (let sequence = 1; sequence <= 5_000; sequence++) {
      ledger.add(
        report(sequence, {
          kind: "acknowledged",
          topicId: "0f".repeat(16),
          offset: sequence * 2,
          sentAtMs: 0,
          answeredAtMs: 0,
        }),
      );
      ledger.add(report(sequence, { kind: "failed", reason: "too large" }));
    }
    ledger.close();
    assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
    let expected = 1;
    for await (const entry of readLedger(path)) {
      assert.deepEqual(entry, {
        order_id: `order-${expected}`,
        sequence: expected,
        partition: expected % 3,
        offset: expected * 2,
        sha256: createHash("sha256").update(`value ${expected}`).digest("hex"),
        topic_id: "0f".repeat(16),
      });
      expected++;
    }
    assert.equal(expected, 5_001);
  }));

Deno.test("LedgerFile does not overwrite an existing ledger", () =>
  withFolder(async (folder) => {
    const path = join(folder, "ledger.jsonl");
    new LedgerFile(path, SILENT).close();
    assert.throws(() => new LedgerFile(path, SILENT), Deno.errors.AlreadyExists);
    await Promise.resolve();
  }));

Deno.test("readLedger() ignores a truncated last line and rejects any other invalid line", () =>
  withFolder(async (folder) => {
    const path = join(folder, "ledger.jsonl");
    const ledger = new LedgerFile(path, SILENT);
    for (const sequence of [1, 2]) {
      ledger.add(
        report(sequence, {
          kind: "acknowledged",
          topicId: "0f".repeat(16),
          offset: sequence,
          sentAtMs: 0,
          answeredAtMs: 0,
        }),
      );
    }
    ledger.close();
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, text.slice(0, -5));
    const read = async () => (await Array.fromAsync(readLedger(path))).map((e) => e.sequence);
    assert.deepEqual(await read(), [1]);
    await Deno.writeTextFile(path, text.replace('"offset":1', '"offset":"1"'));
    await assert.rejects(read, { name: "SyntaxError", message: /line 1 is no entry/ });
  }));

Deno.test("LedgerFile.close() flushes to disk after the last line is written", () =>
  withFolder(async (folder) => {
    const { prototype } = Deno.FsFile;
    const { writeSync, syncDataSync } = prototype;
    const calls: string[] = [];
    prototype.writeSync = function (bytes) {
      calls.push("write");
      return writeSync.call(this, bytes);
    };
    prototype.syncDataSync = function () {
      calls.push("sync");
      syncDataSync.call(this);
    };
    try {
      const ledger = new LedgerFile(join(folder, "ledger.jsonl"), SILENT);
      ledger.add(
        report(1, {
          kind: "acknowledged",
          topicId: "0f".repeat(16),
          offset: 1,
          sentAtMs: 0,
          answeredAtMs: 0,
        }),
      );
      ledger.close();
    } finally {
      Object.assign(prototype, { writeSync, syncDataSync });
    }
    assert.deepEqual(calls, ["write", "sync"]);
    await Promise.resolve();
  }));
