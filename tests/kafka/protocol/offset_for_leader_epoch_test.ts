import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  decodeEpochEndResponse,
  encodeEpochEndRequest,
} from "../../../lib/kafka/protocol/offset_for_leader_epoch.ts";

/** Encodes a response for topic "t" with one partition's answer. */
function responseOf(
  { errorCode, epoch, endOffset }: { errorCode: string; epoch: string; endOffset: string },
): Buffer {
  return Buffer.from(
    ["00000007", "00000001", "0001", "74", "00000001", errorCode, "00000002", epoch, endOffset]
      .join(""),
    "hex",
  );
}

Deno.test("encodeEpochEndRequest() writes version 3 as documented in the protocol guide", () => {
  const encoded = encodeEpochEndRequest({
    topic: "t",
    partition: 2,
    currentLeaderEpoch: 9,
    epoch: 5,
  });
  assert.ok("buffer" in encoded && Buffer.isBuffer(encoded.buffer));
  assert.equal(
    encoded.buffer.toString("hex"),
    ["ffffffff", "00000001", "0001", "74", "00000001", "00000002", "00000009", "00000005"].join(""),
  );
});

Deno.test("decodeEpochEndResponse() reads the epoch and its end, even beyond 2^32", () => {
  const response = responseOf({
    errorCode: "0000",
    epoch: "00000004",
    endOffset: "0000000200000001",
  });
  assert.deepEqual(decodeEpochEndResponse(response), {
    errorCode: 0,
    clientSideThrottleTime: 7,
    end: { epoch: 4, endOffset: 2 ** 33 + 1 },
  });
});

Deno.test("decodeEpochEndResponse() has no end if the log lacks the epoch, and returns the error code", () => {
  const none = { epoch: "ffffffff", endOffset: "ffffffffffffffff" };
  assert.deepEqual(
    ["0000", "004a"].map((errorCode) => decodeEpochEndResponse(responseOf({ errorCode, ...none }))),
    [0, 74].map((errorCode) => ({ errorCode, clientSideThrottleTime: 7, end: undefined })),
  );
});

Deno.test("decodeEpochEndResponse() refuses an answer that is not about exactly one partition", () => {
  const noTopic = Buffer.from("0000000000000000", "hex");
  assert.throws(() => decodeEpochEndResponse(noTopic), /expected an answer of 1 topic, got 0/);
  const noPartition = Buffer.from("000000000000000100017400000000", "hex");
  assert.throws(
    () => decodeEpochEndResponse(noPartition),
    /expected an answer of 1 partition, got 0/,
  );
});
