import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { decodeFetchResponse, encodeFetchRequest } from "../../lib/kafka/kafkajs/raw_fetch.ts";

function hex(...parts: readonly string[]): Buffer {
  return Buffer.from(parts.join("").replaceAll(" ", ""), "hex");
}

Deno.test("encodeFetchRequest() writes version 12 as documented in the protocol guide", async () => {
  const { encode, apiVersion } = encodeFetchRequest({
    maxWaitTime: 250,
    minBytes: 1,
    maxBytes: 1024,
    isolationLevel: 1,
    topics: [{
      topic: "t",
      partitions: [
        { partition: 3, fetchOffset: "1000", lastFetchedEpoch: 5, maxBytes: 512 },
        { partition: 4, fetchOffset: "0", maxBytes: 512 },
      ],
    }],
  });
  assert.equal(apiVersion, 12);
  const encoded = await encode();
  assert.ok(encoded !== null && typeof encoded === "object" && "buffer" in encoded);
  assert.ok(Buffer.isBuffer(encoded.buffer));
  const none64 = "ffffffffffffffff";
  assert.equal(
    encoded.buffer.toString("hex"),
    hex(
      "00",
      "ffffffff 000000fa 00000001 00000400 01 00000000 ffffffff",
      `02 02 74 03`,
      `00000003 ffffffff 00000000000003e8 00000005 ${none64} 00000200 00`,
      `00000004 ffffffff 0000000000000000 ffffffff ${none64} 00000200 00`,
      "00",
      "01 01 00",
    ).toString("hex"),
  );
});

Deno.test("decodeFetchResponse() reads where the log diverges, and skips unknown tags", () => {
  const head = "00000000 0000 00000000";
  const offsets = "00000000000004b0 00000000000004b0 0000000000000000";
  const response = hex(
    "00",
    head,
    "02 02 74 03",
    // Partition 3: one aborted transaction with its own tag, 3 bytes of records, no tags.
    `00000003 0000 ${offsets} 02 0000000000000007 0000000000000005 01 05 01 ff ffffffff 04 aabbcc 00`,
    // Partition 4: null lists, tag 1 (the current leader), then tag 0 (the diverging epoch), then one of 2 bytes.
    `00000004 0000 ${offsets} 00 ffffffff 00`,
    "03 01 09 00000002 00000007 00 00 0c 00000005 00000000000001f4 09 02 ffff",
    "00 00",
  );
  const common = {
    topic: "t",
    errorCode: 0,
    highWatermark: 1200,
    lastStableOffset: 1200,
    preferredReadReplica: -1,
  };
  const { partitions, ...rest } = decodeFetchResponse(response);
  assert.deepEqual(rest, { throttleMs: 0, errorCode: 0 });
  assert.deepEqual(partitions, [
    {
      ...common,
      partition: 3,
      abortedTransactions: [{ producerId: 7n, firstOffset: 5 }],
      records: new Uint8Array([0xaa, 0xbb, 0xcc]),
    },
    {
      ...common,
      partition: 4,
      abortedTransactions: [],
      divergingEpoch: { epoch: 5, endOffset: 500 },
      records: new Uint8Array(),
    },
  ]);
});
