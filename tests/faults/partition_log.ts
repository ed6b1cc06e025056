/**
 * Removes the end of a partition's log of a stopped broker, as if it had lost power before the flush.
 */

import assert from "node:assert/strict";
import { basename, dirname, join } from "node:path";
import { decodeBatches } from "../../lib/kafka/protocol/record_batch.ts";

const LENGTH_AT = 8;
const LENGTH_END = 12;

/** Returns the first offset from `offset` on at which a record batch begins. */
export function batchStart(logFile: string, offset: number): number {
  for (const { baseOffset } of decodeBatches(Deno.readFileSync(logFile))) {
    if (baseOffset >= offset) return baseOffset;
  }
  throw new RangeError(`no batch of ${logFile} begins at offset ${offset} or after it`);
}

/**
 * Cuts the log of a partition at an offset, at which a record batch must begin. Its index and snapshot files are
 * deleted too, and the broker recreates them.
 *
 * @param logFile the partition's only segment, of a stopped broker.
 */
export function truncateLog(logFile: string, offset: number): void {
  const bytes = Deno.readFileSync(logFile);
  const view = new DataView(bytes.buffer);
  let position = 0;
  for (const { baseOffset } of decodeBatches(bytes)) {
    if (baseOffset >= offset) {
      assert.equal(baseOffset, offset, `a batch of ${logFile} begins at offset ${offset}`);
      break;
    }
    position += LENGTH_END + view.getInt32(position + LENGTH_AT);
  }
  assert.ok(position < bytes.length, `${logFile} reaches beyond offset ${offset}`);
  Deno.truncateSync(logFile, position);
  for (const { name } of Deno.readDirSync(dirname(logFile))) {
    if (name !== basename(logFile) && /\.(index|timeindex|txnindex|snapshot)$/.test(name)) {
      Deno.removeSync(join(dirname(logFile), name));
    }
  }
}
