/**
 * The thread's side of {@link EncoderPool}: takes packed records, answers with lines.
 *
 * @module
 */

import { encodeRecords } from "./encode.ts";
import type { EncodeReply, EncodeRequest } from "./pool.ts";
import { unpackRecords } from "./packed_records.ts";

const scope = self as unknown as {
  onmessage: (event: MessageEvent<EncodeRequest>) => void;
  postMessage(reply: EncodeReply, transfer: Transferable[]): void;
};

scope.onmessage = ({ data: { id, packed, context } }) => {
  const { lines, failures } = encodeRecords(unpackRecords(packed), context);
  scope.postMessage({ id, lines, failures }, [lines.buffer]);
};
