import assert from "node:assert/strict";
import { createShop } from "../../lib/shop/shop.ts";
import { encodeRecords } from "../../lib/tracker/encode.ts";
import { encodeBatch } from "../kafka/scripted/record_batches.ts";
import { freshBatch } from "../kernel/fresh_batch.ts";
import { hasCommand } from "../site.ts";

const ORDER = JSON.stringify(createShop({ seed: 3 }).nextOrder(0));

/** Returns a valid order with another address, inserted literally. */
const withAddress = (text: string) =>
  ORDER.replace(/"shipping_address":"[^"]*"/, `"shipping_address":"${text}"`);

const VALUES: readonly (readonly [text: string, hasOrder: boolean])[] = [
  [ORDER, true],
  [withAddress("\\ud83d\\ude00"), true],
  [withAddress("\\ud83d"), false],
  [withAddress("\\uDE00 x"), false],
  [`{"a":${"[".repeat(2_000)}${"]".repeat(2_000)}}`, false],
  [`{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, false],
  ['{"a":1,"a":2}', false],
  ['{"a":1e999}', false],
  ['{"a":[1,{"b":"\\udfff"}]}', false],
  [`{"order_id":"${"😀".repeat(300)}"}`, true],
  [ORDER.replace(/"sequence":\d+/, '"sequence":1e400'), false],
  [ORDER.replace("{", '{"status":"pending",'), false],
];

async function linesOf(schema: "order" | "none"): Promise<Uint8Array> {
  const fresh = freshBatch(encodeBatch(VALUES.map(([value]) => ({ value }))));
  const context = { receivedAt: new Date(0), topicId: "aa", schema };
  return (await encodeRecords(fresh, context)).lines;
}

Deno.test("a line has order_full only if common JSON parsers agree on it, and always has the raw message", async () => {
  const lines = new TextDecoder().decode(await linesOf("order")).trimEnd().split("\n");
  for (const [index, [text, hasOrder]] of VALUES.entries()) {
    const line = JSON.parse(lines[index] ?? "");
    assert.equal(line.raw_message, text);
    assert.equal("order_full" in line, hasOrder, text.slice(0, 80));
    if ("error" in line) assert.ok(line.error.isWellFormed(), line.error);
  }
});

const READERS: readonly (readonly [command: string, args: readonly string[]])[] = [
  ["jq", ["-c", ".kafka_offset"]],
  ["python3", [
    "-c",
    "import json,sys\nfor line in sys.stdin: print(json.loads(line)['kafka_offset'])",
  ]],
];

for (const [command, args] of READERS) {
  Deno.test({
    name: `${command} parses every line, whatever the value`,
    ignore: !await hasCommand(command, "--version"),
    fn: async () => {
      for (const schema of ["order", "none"] as const) {
        const process = new Deno.Command(command, {
          args: [...args],
          stdin: "piped",
          stdout: "piped",
          stderr: "piped",
        }).spawn();
        const writer = process.stdin.getWriter();
        await writer.write(await linesOf(schema));
        await writer.close();
        const { code, stdout, stderr } = await process.output();
        assert.equal(code, 0, new TextDecoder().decode(stderr));
        const offsets = new TextDecoder().decode(stdout).trim().split("\n").map(Number);
        assert.deepEqual(offsets, VALUES.map((_, offset) => offset));
      }
    },
  });
}
