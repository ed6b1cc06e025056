/**
 * Encodes batches beside the thread that reads and writes: JSON.parse, validation and escaping are two
 * thirds of what a record costs.
 *
 * A thread runs this same module, and knows by its name what it is for. So it needs no file of its own, and
 * works in a bundle and in a compiled program, where this module is part of the program's one file.
 *
 * Small batches are encoded on the spot: at low rates another thread would only add latency.
 *
 * @module
 */

import type { KafkaRecord } from "../record.ts";
import { type EncodeContext, type EncodedRecords, encodeRecords, roomFor } from "./encode.ts";
import { type PackedRecords, packRecords, unpackRecords } from "./packed_records.ts";
import { SpareBuffers } from "./spare_buffers.ts";

/** What a worker is asked. */
interface EncodeRequest {
  readonly id: number;
  readonly packed: PackedRecords;
  readonly context: EncodeContext;
  /** To write the lines to. */
  readonly room: Uint8Array;
}

/** What it answers. */
interface EncodeReply extends EncodedRecords {
  readonly id: number;
}

const WORKER_NAME = "orderflow-encoder";
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
  readonly #spareForRecords = new SpareBuffers();
  readonly #spareForLines = new SpareBuffers();
  #lastId = 0;

  /** The records' lines and failures; the records are of one partition. */
  async encode(records: readonly KafkaRecord[], context: EncodeContext): Promise<EncodedRecords> {
    const room = this.#spareForLines.take(roomFor(records));
    if (records.length < RECORDS_MIN) return encodeRecords(records, context, room);
    const poolWorker = this.#leastBusy();
    const id = ++this.#lastId;
    const packed = packRecords(records, (byteLength) => this.#spareForRecords.take(byteLength));
    const reply = Promise.withResolvers<EncodedRecords>();
    this.#waiting.set(id, reply);
    poolWorker.waitingRecords += records.length;
    const request: EncodeRequest = { id, packed, context, room };
    poolWorker.worker.postMessage(request);
    try {
      return await reply.promise;
    } finally {
      this.#spareForRecords.put(packed.bytes);
      poolWorker.waitingRecords -= records.length;
    }
  }

  /** Takes lines back that nobody needs any more: their buffer is written to again. */
  giveBack(lines: Uint8Array): void {
    this.#spareForLines.put(lines);
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
    const worker = new Worker(import.meta.url, { type: "module", name: WORKER_NAME });
    worker.onmessage = ({ data }: MessageEvent<EncodeReply>) => {
      const { id, ...encoded } = data;
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

/** What a thread's global scope offers; the types of the page's window stand in its way. */
interface WorkerScope {
  readonly name?: string;
  onmessage?: (event: MessageEvent<EncodeRequest>) => void;
  postMessage(reply: EncodeReply): void;
}

const scope = globalThis as unknown as WorkerScope;
if (scope.name === WORKER_NAME) {
  scope.onmessage = ({ data: { id, packed, context, room } }) => {
    scope.postMessage({ id, ...encodeRecords(unpackRecords(packed), context, room) });
  };
}
