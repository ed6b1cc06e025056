/**
 * Delivers dead letters: a record that cannot be processed goes to a topic of its own, unchanged where that topic
 * accepts it. A letter that the topic refuses for good is adapted, one step at a time (`letter_adaptation.ts`);
 * where the topic refuses everything the letters wait, and {@link DeadLetters.blocked} says why.
 *
 *     stored                         next batch
 *     a record's fault               split; alone, adapted
 *     passing, or the topic's fault  wait, and send again, as long as the letters are wanted
 *     unclear                        as passing, three times; then as the record's fault
 *
 * One send is in flight for each partition of the dead-letter topic. A letter that waits gives its turn away, so that
 * partitions that share one wait for each other only while a send is under way.
 *
 * @module
 */

import { delay } from "../async.ts";
import { adviceFor, type DeliveryError, reasonOf, scopeOf } from "../kafka/errors.ts";
import { BatchSizer, PartitionQueue, type SendOutcome } from "../kafka/partition_queue.ts";
import type { ReliableProducer } from "../kafka/producer.ts";
import type { OutgoingRecord } from "../record.ts";
import { HEADER_BYTES as BATCH_HEADER_BYTES } from "../kafka/protocol/batch_layout.ts";
import { recordBytesMax } from "../kafka/protocol/record_size.ts";
import type { Logger } from "../log.ts";
import { tracedSend } from "../telemetry.ts";
import type { DeadLetterTopic } from "./dead_letter_topic.ts";
import { type Adaptation, type DeadLetter, encodeLetter } from "./letter.ts";
import { KnownRefusals, nextAdaptation } from "./letter_adaptation.ts";
import { watchWanted } from "./wanted.ts";

/** A record whose dead letter cannot be sent at the moment: its partition waits. */
export interface BlockedLetter {
  /** Of the record. */
  readonly topic: string;
  readonly partition: number;
  /** The first record that waits. */
  readonly offset: number;
  /** Why it cannot be sent, and what to do. */
  readonly error: string;
}

export interface DeadLettersOptions {
  readonly producer: Pick<ReliableProducer, "send">;
  /** The dead-letter topic. */
  readonly topic: string;
  /** Of the dead-letter topic, when it was last described. */
  readonly partitionCount: number;
  /** Whether the dead-letter topic is compacted; letters have keys of their own there. */
  readonly isCompacted?: boolean;
  /** The consumer group that reads the records. */
  readonly groupId?: string;
  /** Describes the dead-letter topic as it is now; undefined where there is none. */
  readonly describe?: () => Promise<DeadLetterTopic | undefined>;
  readonly log: Logger;
  /** Between two attempts; 1 s. */
  readonly retryWaitMs?: number;
}

/** A letter on its way, with what had to be changed so far. */
interface PendingLetter {
  readonly letter: DeadLetter;
  adaptations: ReadonlySet<Adaptation>;
  /** Why the last adaptation was made. */
  refusal: string | undefined;
}

/** Letters of one call: they are of one source partition. */
interface LetterDelivery {
  readonly queue: PartitionQueue<PendingLetter>;
  readonly isWanted: () => boolean;
  /** The partition of the dead-letter topic that the next batch goes to. */
  target: number;
  /** Failures in a row that do not say whose fault they are. */
  unclearCount: number;
  /** The last failure that the log has for these letters. */
  loggedFailure: string | undefined;
}

/** A send that has no answer yet. */
interface Attempt {
  readonly startedAtMs: number;
  /** The last error that the client has met, and has not given up for. */
  error: unknown;
}

type Outcome = SendOutcome<PendingLetter, unknown> | { readonly kind: "abandoned" };

const RETRY_WAIT_MS = 1_000;
/** Half of what a broker accepts by default (`max.message.bytes`). */
const BATCH_BYTES_MAX = 512 * 1024;
/** When a send without an answer is looked into: the client repeats most failures without a word. */
const LOOK_AFTER_MS = 1_000;
const LOOK_INTERVAL_MS = 1_000;
/** When a send without an answer and without a known reason blocks its partition. */
const SILENT_AFTER_MS = 5_000;
const UNCLEAR_COUNT_MAX = 3;
const NONE: ReadonlySet<Adaptation> = new Set();

export class DeadLetters {
  readonly #options: DeadLettersOptions;
  readonly #sizer = new BatchSizer(BATCH_BYTES_MAX);
  readonly #refusals = new KnownRefusals();
  /** The last send to each partition of the topic. */
  readonly #turns = new Map<number, Promise<unknown>>();
  /** The deliveries under way, by source partition. */
  readonly #deliveries = new Map<number, LetterDelivery>();
  /** Why nothing is accepted at the moment, by partition of the topic. */
  readonly #failures = new Map<number, string>();
  #partitionCount: number;
  #isCompacted: boolean;
  #refreshing: Promise<string | undefined> | undefined;

  constructor(options: DeadLettersOptions) {
    this.#options = options;
    this.#partitionCount = options.partitionCount;
    this.#isCompacted = options.isCompacted ?? false;
  }

  /** The letters that cannot be sent now, by the partition of their records. */
  get blocked(): ReadonlyMap<number, BlockedLetter> {
    const blocked = new Map<number, BlockedLetter>();
    for (const [partition, { queue, target }] of this.#deliveries) {
      const failure = this.#failures.get(target);
      const record = queue.first?.letter.record;
      if (failure === undefined || record === undefined) continue;
      const { topic, offset } = record;
      blocked.set(partition, { topic, partition, offset, error: failure });
    }
    return blocked;
  }

  /**
   * Sends letters of one source partition and waits until the broker has them all, without end while
   * `isWanted` says so.
   *
   * @returns false where they were abandoned: some may have been sent, and will be once more.
   */
  async send(letters: readonly DeadLetter[], isWanted: () => boolean): Promise<boolean> {
    const partition = letters[0]?.record.partition ?? 0;
    const delivery: LetterDelivery = {
      queue: new PartitionQueue<PendingLetter>({
        toRecord: (pending) => this.#encode(pending, delivery.target),
        sizeOf: (pending) => recordBytesMax(this.#encode(pending, delivery.target)),
        sizer: this.#sizer,
      }),
      isWanted,
      target: 0,
      unclearCount: 0,
      loggedFailure: undefined,
    };
    const { queue } = delivery;
    queue.push(...letters.map((letter) => ({ letter, adaptations: NONE, refusal: undefined })));
    this.#deliveries.set(partition, delivery);
    try {
      while (queue.length > 0) {
        delivery.target = partition % this.#partitionCount;
        if (!isWanted() || !await this.#sendNext(delivery)) return false;
      }
      return true;
    } finally {
      if (this.#deliveries.get(partition) === delivery) this.#deliveries.delete(partition);
    }
  }

  /** @returns false where the letters were abandoned meanwhile. */
  async #sendNext(delivery: LetterDelivery): Promise<boolean> {
    const outcome = await this.#inTurn(delivery);
    switch (outcome.kind) {
      case "abandoned":
        return false;
      case "stored":
        delivery.unclearCount = 0;
        this.#noteStored(outcome.items, delivery.target);
        return true;
      case "split":
        return true;
      case "refused":
        return this.#adaptFirst(delivery, outcome.error) ||
          await this.#waitAfter(delivery, outcome.error);
      case "failed": {
        const { error, items } = outcome;
        if (scopeOf(error) === "unclear" && ++delivery.unclearCount >= UNCLEAR_COUNT_MAX) {
          if (items.length > 1) delivery.queue.narrow(items.length);
          else if (this.#adaptFirst(delivery, error)) return true;
        }
        return await this.#waitAfter(delivery, error);
      }
    }
  }

  /** Sends the next batch when the sends before it, to the same partition, have their answers. */
  async #inTurn(delivery: LetterDelivery): Promise<Outcome> {
    const { isWanted, target } = delivery;
    using wanted = watchWanted(isWanted);
    const abandoned = wanted.ended.then((): Outcome => ({ kind: "abandoned" }));
    const previous = this.#turns.get(target);
    const send = async (): Promise<Outcome> => {
      await previous;
      return isWanted() ? await this.#sendBatch(delivery) : { kind: "abandoned" };
    };
    const sent = send();
    // The turn ends with the send, also where the letters are abandoned before its answer comes.
    this.#turns.set(target, sent.catch(() => {}));
    return await Promise.race([sent, abandoned]);
  }

  async #sendBatch({ queue, target }: LetterDelivery): Promise<Outcome> {
    const { producer, topic } = this.#options;
    const attempt: Attempt = { startedAtMs: performance.now(), error: undefined };
    using _look = this.#lookWhenSlow(attempt, target);
    return await queue.sendNext((records) =>
      tracedSend({
        topic,
        partition: target,
        records,
        isPropagated: false,
        reasonOf,
        send: (records) =>
          producer.send({
            topic,
            partition: target,
            records,
            onFailedAttempt: (error) => attempt.error = error,
          }),
      })
    );
  }

  #encode(pending: PendingLetter, partition: number): OutgoingRecord {
    const { letter } = pending;
    const { groupId } = this.#options;
    for (;;) {
      const adaptations: ReadonlySet<Adaptation> = this.#isCompacted
        ? new Set<Adaptation>([...pending.adaptations, "unique-key"])
        : pending.adaptations;
      const record = encodeLetter(letter, { partition, groupId, adaptations });
      const reason = this.#refusals.reasonAgainst(placeOf(record));
      const next = reason && nextAdaptation(letter, pending.adaptations, reason);
      if (!next) return record;
      pending.adaptations = next;
      pending.refusal = reason;
    }
  }

  /** @returns false where nothing is left that could be changed: the letter is whole again then. */
  #adaptFirst({ queue, target }: LetterDelivery, error: DeliveryError): boolean {
    const pending = queue.first;
    if (pending === undefined) return true;
    const reason = reasonOf(error);
    this.#refusals.note(reason, placeOf(this.#encode(pending, target)));
    const next = nextAdaptation(pending.letter, pending.adaptations, reason);
    pending.adaptations = next ?? NONE;
    pending.refusal = error.message;
    return next !== undefined;
  }

  #noteStored(items: readonly PendingLetter[], target: number): void {
    const { topic, log } = this.#options;
    for (const { letter: { record }, adaptations, refusal } of items) {
      if (adaptations.size === 0) continue;
      if ([...adaptations].at(-1) === "unique-key") this.#isCompacted = true;
      log.warn("A dead letter was adapted to what its topic accepts", {
        topic: record.topic,
        partition: record.partition,
        offset: record.offset,
        deadLetterTopic: topic,
        adapted: [...adaptations].join(", "),
        error: refusal,
      });
    }
    if (this.#failures.delete(target)) {
      log.warn("The dead-letter topic accepts records again", { topic, partition: target });
    }
  }

  /** @returns false where the letters were abandoned meanwhile. */
  async #waitAfter({ isWanted, target }: LetterDelivery, error: DeliveryError): Promise<boolean> {
    this.#noteFailure(target, describe(error));
    this.#refresh();
    using wanted = watchWanted(isWanted);
    await Promise.race([delay(this.#options.retryWaitMs ?? RETRY_WAIT_MS), wanted.ended]);
    return isWanted();
  }

  /** Logs a failure once for each source partition whose letters wait for it. */
  #noteFailure(target: number, failure: string): void {
    this.#failures.set(target, failure);
    for (const [partition, delivery] of this.#deliveries) {
      const record = delivery.queue.first?.letter.record;
      if (record === undefined || delivery.target !== target) continue;
      if (delivery.loggedFailure === failure) continue;
      delivery.loggedFailure = failure;
      this.#options.log.error(
        "Dead letters cannot be sent; their partition waits, and the send is repeated",
        {
          topic: record.topic,
          partition,
          offset: record.offset,
          deadLetterTopic: this.#options.topic,
          deadLetterPartition: target,
          error: failure,
        },
      );
    }
  }

  /** Finds out why a send has no answer, as long as it has none. */
  #lookWhenSlow(attempt: Attempt, target: number): Disposable {
    let isOver = false;
    const look = async () => {
      const described = await Promise.race([this.#refresh(), delay(LOOK_INTERVAL_MS)]);
      if (isOver) return;
      const failure = described ?? failureOf(attempt);
      if (failure !== undefined) this.#noteFailure(target, failure);
      timer = setTimeout(look, LOOK_INTERVAL_MS);
    };
    let timer = setTimeout(look, LOOK_AFTER_MS);
    return {
      [Symbol.dispose]() {
        isOver = true;
        clearTimeout(timer);
      },
    };
  }

  /**
   * Describes the topic again.
   *
   * @returns why it can accept nothing, as far as its description says so.
   */
  #refresh(): Promise<string | undefined> {
    const { describe: ask, topic } = this.#options;
    if (ask === undefined) return Promise.resolve(undefined);
    const refresh = async (): Promise<string | undefined> => {
      try {
        const found = await ask();
        if (found === undefined) return `topic "${topic}" does not exist any more: create it again`;
        this.#partitionCount = found.partitionCount;
        this.#isCompacted = found.isCompacted ?? this.#isCompacted;
        return undefined;
      } catch (error) {
        return describe(error);
      } finally {
        this.#refreshing = undefined;
      }
    };
    return this.#refreshing ??= refresh();
  }
}

/** Returns why a send has no answer yet; undefined where that is no reason to worry. */
function failureOf({ startedAtMs, error }: Attempt): string | undefined {
  if (error !== undefined && scopeOf(error) === "topic") return describe(error);
  if (performance.now() - startedAtMs < SILENT_AFTER_MS) return undefined;
  return error === undefined ? "no broker answers" : describe(error);
}

/** What a topic's bounds are compared with. */
function placeOf(record: OutgoingRecord): { bytes: number; timestampMs: number } {
  return {
    bytes: BATCH_HEADER_BYTES + recordBytesMax(record),
    timestampMs: record.timestampMs ?? Date.now(),
  };
}

const ADVICE: Readonly<Record<string, string>> = {
  MESSAGE_TOO_LARGE: "raise the topic's max.message.bytes",
  RECORD_LIST_TOO_LARGE: "raise the topic's segment.bytes",
  INVALID_TIMESTAMP: "raise the topic's message.timestamp.before.max.ms and .after.max.ms",
  INVALID_RECORD: "look at the topic's rules, such as cleanup.policy",
  UNKNOWN_TOPIC_OR_PARTITION: "create the topic again",
  NOT_ENOUGH_REPLICAS: "start the brokers of its replicas, or lower min.insync.replicas",
  KAFKA_STORAGE_ERROR: "look at the broker's disk",
};

function describe(error: unknown): string {
  const reason = reasonOf(error);
  const advice = ADVICE[reason] ?? adviceFor(reason);
  const message = error instanceof Error ? error.message : String(error);
  return `${message} (${reason})${advice === undefined ? "" : `: ${advice}`}`;
}
