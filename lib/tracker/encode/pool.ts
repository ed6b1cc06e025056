/**
 * Encodes batches beside the thread that reads and writes: JSON.parse, validation and escaping are two
 * thirds of what a record costs.
 *
 * Small batches are encoded on the spot: at low rates another thread would only add latency.
 *
 * @module
 */

import type { KafkaRecord } from "../../kafka/record.ts";
import { type EncodeContext, type EncodedRecords, encodeRecords } from "./encode.ts";
import { type PackedRecords, packRecords } from "./packed_records.ts";

/** What a worker is asked. */
export interface EncodeRequest {
  readonly id: number;
  readonly packed: PackedRecords;
  readonly context: EncodeContext;
}

/** What it answers. */
export interface EncodeReply extends EncodedRecords {
  readonly id: number;
}

/** Two keep up with what one thread can read and write. */
const WORKERS = 2;
/** From this many records on a worker pays. */
const RECORDS_MIN = 48;

interface PoolWorker {
  readonly worker: Worker;
  waitingRecords: number;
}

export class EncoderPool implements Disposable {
  readonly #workers: PoolWorker[] = [];
  readonly #waiting = new Map<number, PromiseWithResolvers<EncodedRecords>>();
  #lastId = 0;

  /** The records' lines and failures; the records are of one partition. */
  async encode(records: readonly KafkaRecord[], context: EncodeContext): Promise<EncodedRecords> {
    if (records.length < RECORDS_MIN) return encodeRecords(records, context);
    const poolWorker = this.#leastBusy();
    const id = ++this.#lastId;
    const packed = packRecords(records);
    const reply = Promise.withResolvers<EncodedRecords>();
    this.#waiting.set(id, reply);
    poolWorker.waitingRecords += records.length;
    const request: EncodeRequest = { id, packed, context };
    poolWorker.worker.postMessage(request, [packed.table.buffer, packed.bytes.buffer]);
    try {
      return await reply.promise;
    } finally {
      poolWorker.waitingRecords -= records.length;
    }
  }

  [Symbol.dispose](): void {
    for (const { worker } of this.#workers) worker.terminate();
  }

  #leastBusy(): PoolWorker {
    const idle = this.#workers.find(({ waitingRecords }) => waitingRecords === 0);
    if (idle !== undefined) return idle;
    if (this.#workers.length < WORKERS) return this.#start();
    return this.#workers.reduce((a, b) => a.waitingRecords <= b.waitingRecords ? a : b);
  }

  #start(): PoolWorker {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data: { id, ...encoded } }: MessageEvent<EncodeReply>) => {
      this.#waiting.get(id)?.resolve(encoded);
      this.#waiting.delete(id);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      const error = new Error(`an encoding thread failed: ${event.message}`);
      for (const reply of this.#waiting.values()) reply.reject(error);
      this.#waiting.clear();
    };
    const poolWorker = { worker, waitingRecords: 0 };
    this.#workers.push(poolWorker);
    return poolWorker;
  }
}
