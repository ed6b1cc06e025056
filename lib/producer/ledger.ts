/**
 * The producer's ledger: a line of JSON for every record that the broker acknowledged, so that what a
 * topic and a journal hold can be compared with what was promised to be there.
 *
 *     {"order_id":"406ca90b-...","sequence":1,"partition":2,"offset":17,"sha256":"9f86d081...","topic_id":"6fd3..."}
 *
 * `order_id` of a record of the user's own is `record-` and its sequence. `sha256` is of the value's bytes, in
 * hexadecimal. `topic_id` tells the topic that stored the record from another one
 * of the same name, created after it was deleted; earlier versions left it out. Lines stand in the order in which the
 * answers came: by offset within a partition of one topic, not across partitions. The file is new, for its owner alone,
 * and on the disk when the producer has ended; a process that was killed leaves out what it had not yet written, some
 * second's records at most, and may leave a last line without an end. While the disk is full, lines wait in memory
 * (`line_file.ts`).
 */

import { createHash } from "node:crypto";
import { isJsonObject, parseJson } from "../json.ts";
import type { DeliveryReport } from "./delivery.ts";
import { LineFile, type LineFileOptions } from "./line_file.ts";

export interface LedgerEntry {
  readonly order_id: string;
  readonly sequence: number;
  readonly partition: number;
  readonly offset: number;
  /** SHA-256 of the value, in hexadecimal. */
  readonly sha256: string;
  readonly topic_id?: string;
}

const COLLECTED_CHARS_MAX = 64 * 1024;
/** A tombstone has the hash of an empty value. */
const NO_BYTES = new Uint8Array();

export type LedgerFileOptions = Pick<LineFileOptions, "onFailure" | "onRecovery">;

export class LedgerFile extends LineFile {
  /** @throws {Deno.errors.AlreadyExists} where the file is there: the proof of another run is not written over. */
  constructor(path: string, { onFailure, onRecovery }: LedgerFileOptions) {
    super({
      open: () => Deno.openSync(path, { read: true, append: true, createNew: true, mode: 0o600 }),
      collectedCharsMax: COLLECTED_CHARS_MAX,
      onFailure,
      onRecovery,
    });
    this.open();
  }

  /** Adds a line where the record was acknowledged. Costs some 4 microseconds, most of them for the hash. */
  add({ record, outcome }: DeliveryReport): void {
    if (outcome.kind !== "acknowledged") return;
    const sha256 = createHash("sha256").update(record.value ?? NO_BYTES).digest("hex");
    this.addLine(
      `{"order_id":"${record.orderId}","sequence":${record.sequence}` +
        `,"partition":${record.partition},"offset":${outcome.offset},"sha256":"${sha256}"` +
        `,"topic_id":"${outcome.topicId}"}`,
    );
  }
}

/**
 * The entries of a ledger, in the file's order; a last line without an end is left out.
 *
 * @throws {SyntaxError} at a line that is no entry, with its number.
 */
export async function* readLedger(path: string): AsyncGenerator<LedgerEntry> {
  const file = await Deno.open(path);
  let rest = "";
  let lineNumber = 0;
  for await (const text of file.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      lineNumber++;
      const entry = parseJson(line);
      if (!isEntry(entry)) {
        throw new SyntaxError(
          `cannot read the ledger "${path}": line ${lineNumber} is no entry of order_id, sequence, ` +
            `partition, offset and sha256`,
        );
      }
      yield entry;
    }
  }
}

function isEntry(value: unknown): value is LedgerEntry {
  if (!isJsonObject(value)) return false;
  const { order_id, sequence, partition, offset, sha256, topic_id = "" } = value;
  return typeof topic_id === "string" && typeof order_id === "string" &&
    typeof sha256 === "string" &&
    /^[0-9a-f]{64}$/.test(sha256) &&
    [sequence, partition, offset].every((number) => Number.isSafeInteger(number));
}
