import assert from "node:assert/strict";
import { join } from "node:path";
import { checkLedger } from "../../lib/verify/ledger_check.ts";

/** Checks a ledger with these offsets in partition 0. The topic must not be queried. */
async function check(offsets: readonly number[]): Promise<unknown> {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-ledger-" });
  try {
    const path = join(folder, "ledger.jsonl");
    const entry = { order_id: "a", sequence: 1, partition: 0, sha256: "0".repeat(64) };
    const lines = offsets.map((offset) => JSON.stringify({ ...entry, offset }) + "\n");
    await Deno.writeTextFile(path, lines.join(""));
    return await checkLedger({
      cluster: {
        describeTopic: (topic) => Promise.resolve({ topic, topicId: "id", partitionCount: 1 }),
        allOffsets: () => Promise.reject(new Error("the topic was queried")),
      },
      connection: { brokers: ["127.0.0.1:1"], clientId: "test" },
      topic: "orders",
      path,
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("checkLedger() rejects a ledger whose offsets decrease or repeat within a partition", async () => {
  for (const offsets of [[5, 6, 4], [5, 6, 6], [0, 0]]) {
    await assert.rejects(check(offsets), {
      name: "SyntaxError",
      message: `the ledger's offsets are not ascending at partition 0, offset ${offsets.at(-1)}`,
    });
  }
  await assert.rejects(check([0, 1, 5]), { message: "the topic was queried" });
});
