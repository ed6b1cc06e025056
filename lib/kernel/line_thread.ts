/**
 * Writes journal lines on a thread, beside the one that reads and writes: validation and escaping are half of what a
 * record costs.
 *
 * The thread's program is the source text of a function. So it needs no file and no permission, and an application that
 * bundles this library does not run again in the thread. If the thread cannot start, or ends, lines are written here.
 */

import { Turns } from "../async.ts";
import { kernel } from "./kernel.ts";
import { lineBytesOf, type LinesJob, lineWriter, noLines, type WrittenLines } from "./lines.ts";

/** Writes the lines of a job, in the spans' order. */
export interface LineWriter {
  write(job: LinesJob): Promise<WrittenLines>;
}

interface Request {
  readonly id: number;
  readonly job: LinesJob;
  readonly written: WrittenLines;
  /** Holds the spans' bytes; comes back for reuse. */
  readonly input: Uint8Array<ArrayBuffer>;
}

type Reply = Pick<Request, "id" | "written" | "input"> & { readonly error?: string };

/** Smaller jobs are written at once: they take less time than the other thread's answer. */
const THREAD_BYTES_MIN = 64 * 1024;
const SPARE_BYTES_MAX = 32 * 1024 * 1024;

/** Writes on the calling thread, with turns for other work. */
export const ON_THIS_THREAD: LineWriter = {
  async write(job) {
    const written = noLines(job, new Uint8Array(lineBytesOf(job)));
    using turns = new Turns();
    for (const index of job.spans.keys()) {
      kernel().lineWriter(job, index, written);
      await turns.next();
    }
    return written;
  },
};

export class LineThread implements LineWriter, Disposable {
  readonly #waiting = new Map<number, PromiseWithResolvers<WrittenLines | undefined>>();
  readonly #spare = new SpareBuffers();
  #worker: Worker | undefined;
  /** True once it is disposed or has failed: lines are then written on the calling thread. */
  #isEnded = false;
  #lastId = 0;

  async write(job: LinesJob): Promise<WrittenLines> {
    const byteCount = job.spans.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const isForThread = byteCount >= THREAD_BYTES_MIN && !this.#isEnded;
    const written = isForThread ? await this.#writeThere(job, byteCount) : undefined;
    return written ?? await ON_THIS_THREAD.write(job);
  }

  /** Takes back the bytes of lines that nobody uses any longer. */
  reuse(bytes: Uint8Array<ArrayBuffer>): void {
    this.#spare.add(bytes);
  }

  [Symbol.dispose](): void {
    this.#end();
  }

  /** Returns undefined if the thread ends first. */
  async #writeThere(job: LinesJob, byteCount: number): Promise<WrittenLines | undefined> {
    const id = ++this.#lastId;
    const reply = Promise.withResolvers<WrittenLines | undefined>();
    this.#waiting.set(id, reply);
    const input = this.#spare.take(byteCount);
    const written = noLines(job, this.#spare.take(lineBytesOf(job)));
    const request: Request = {
      id,
      job: { ...job, spans: copied(job.spans, input) },
      written,
      input,
    };
    this.#worker ??= this.#start();
    this.#worker.postMessage(request, transferred(request));
    return await reply.promise;
  }

  #start(): Worker {
    const program = `(${threadProgram})(self, ${lineWriter}, ${transferred});`;
    const url = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
    const worker = new Worker(url, { type: "module", name: "orderflow-lines" });
    URL.revokeObjectURL(url);
    worker.onmessage = ({ data }: MessageEvent<Reply>) => this.#settle(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#end();
    };
    worker.postMessage(kernel().module);
    return worker;
  }

  #settle({ id, written, input, error }: Reply): void {
    const reply = this.#waiting.get(id);
    this.#waiting.delete(id);
    this.#spare.add(input);
    if (error === undefined) reply?.resolve(written);
    else reply?.reject(new RangeError(error));
  }

  #end(): void {
    this.#isEnded = true;
    this.#worker?.terminate();
    this.#worker = undefined;
    for (const { resolve } of this.#waiting.values()) resolve(undefined);
    this.#waiting.clear();
  }
}

/** Copies the spans' bytes: the fetched ones are parts of a buffer with those of other partitions. */
function copied(spans: LinesJob["spans"], input: Uint8Array<ArrayBuffer>): LinesJob["spans"] {
  let at = 0;
  return spans.map((span) => {
    const bytes = input.subarray(at, at += span.bytes.length);
    bytes.set(span.bytes);
    return { ...span, bytes };
  });
}

/** Uses nothing outside itself: the thread's program has it, too. */
function transferred({ written, input }: Pick<Request, "written" | "input">): ArrayBuffer[] {
  const { bytes, lineEnds, timestampsMs } = written;
  return [input.buffer, bytes.buffer, lineEnds.buffer, timestampsMs.buffer];
}

interface ThreadScope {
  onmessage: (event: { readonly data: WebAssembly.Module | Request }) => void;
  postMessage(reply: Reply, transfer: ArrayBuffer[]): void;
}

/** The thread's program: it uses nothing outside itself but its arguments. */
function threadProgram(
  scope: ThreadScope,
  createLineWriter: typeof lineWriter,
  buffersOf: typeof transferred,
): void {
  let write: ReturnType<typeof lineWriter> | undefined;
  scope.onmessage = ({ data }) => {
    if (data instanceof WebAssembly.Module) {
      const { exports } = new WebAssembly.Instance(data);
      write = createLineWriter(exports as unknown as Parameters<typeof lineWriter>[0]);
      return;
    }
    const { id, job, written, input } = data;
    let error: string | undefined;
    try {
      for (const index of job.spans.keys()) write?.(job, index, written);
    } catch (cause) {
      error = String(cause instanceof Error ? cause.message : cause);
    }
    const reply = { id, written, input, ...(error !== undefined && { error }) };
    scope.postMessage(reply, buffersOf(reply));
  };
}

/** Buffers for reuse: a new one is cleared first, and mapped page by page. */
class SpareBuffers {
  /** The smallest first. */
  readonly #buffers: Uint8Array<ArrayBuffer>[] = [];
  #byteCount = 0;

  take(byteLength: number): Uint8Array<ArrayBuffer> {
    const index = this.#buffers.findIndex(({ length }) => length >= byteLength);
    const [buffer] = index === -1 ? [] : this.#buffers.splice(index, 1);
    this.#byteCount -= buffer?.length ?? 0;
    return buffer ?? new Uint8Array(byteLength);
  }

  add({ buffer }: Uint8Array<ArrayBuffer>): void {
    if (buffer.byteLength < THREAD_BYTES_MIN) return;
    if (this.#byteCount + buffer.byteLength > SPARE_BYTES_MAX) return;
    this.#buffers.push(new Uint8Array(buffer));
    this.#buffers.sort((a, b) => a.length - b.length);
    this.#byteCount += buffer.byteLength;
  }
}
