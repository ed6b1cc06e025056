/**
 * Identifies records of aborted transactions.
 */

/**
 * Identifies records of aborted transactions by the markers in the log. kafkajs shows such records as committed if
 * transactions of a partition overlap.
 */
export class Transactions {
  /** By partition and producer, in log order. */
  readonly #markers = new Map<string, { readonly offset: number; readonly isAbort: boolean }[]>();
  /** The producer of each record in a transaction, by partition and offset. */
  readonly #producers = new Map<string, string>();

  note(batch: { readonly partition: number }): void {
    const { partition, rawMessages } = batch as RawBatch;
    for (const { offset, key, isControlRecord, batchContext } of rawMessages) {
      const producer = `${partition}/${batchContext.producerId}`;
      if (isControlRecord) {
        const markers = this.#markers.get(producer) ?? [];
        markers.push({ offset: Number(offset), isAbort: key?.[3] === ABORT_MARKER });
        this.#markers.set(producer, markers);
      } else if (batchContext.inTransaction) {
        this.#producers.set(`${partition}/${offset}`, producer);
      }
    }
  }

  aborted({ partition, offset }: { readonly partition: number; readonly offset: number }): boolean {
    const producer = this.#producers.get(`${partition}/${offset}`);
    const markers = producer === undefined ? [] : this.#markers.get(producer) ?? [];
    return markers.find((marker) => marker.offset > offset)?.isAbort ?? false;
  }
}

/** The type of an abort marker: the second number of its key. */
const ABORT_MARKER = 0;

/** Fields of a batch that kafkajs's types omit. */
interface RawBatch {
  readonly partition: number;
  readonly rawMessages: readonly {
    readonly offset: string;
    readonly key: Uint8Array | null;
    readonly isControlRecord: boolean;
    readonly batchContext: { readonly producerId: string; readonly inTransaction: boolean };
  }[];
}
