/**
 * Delivers dead letters: sends a record that cannot be processed to the dead-letter topic, unchanged if that topic
 * accepts it. A letter that is refused permanently is adapted one step at a time (`letter_adaptation.ts`). If the topic
 * refuses everything, the letters wait, and {@link DeadLetters.blocked} has the reason.
 *
 *     stored                      send the next batch
 *     refused for one record      split the batch; adapt a single letter
 *     transient, or topic error   wait and retry, as long as the letters are wanted
 *     unclear                     like transient, three times; then like a refused record
 *
 * Each partition of the dead-letter topic has at most one send in flight. A waiting letter gives up its turn, so that
 * source partitions that share a target wait for each other only during sends.
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

/** A record whose dead letter cannot be sent now; its partition waits. */
export interface BlockedLetter {
  readonly topic: string;
  readonly partition: number;
  /** The offset of the first waiting record. */
  readonly offset: number;
  /** The reason, and what to do. */
  readonly error: string;
}

export interface DeadLettersOptions {
  readonly producer: Pick<ReliableProducer, "send">;
  readonly topic: string;
  /** The dead-letter topic's last known partition count. */
  readonly partitionCount: number;
  /** True if the dead-letter topic is compacted; letters then get unique keys. */
  readonly isCompacted?: boolean;
  readonly groupId?: string;
  /** Returns the current state of the dead-letter topic; undefined if it does not exist. */
  readonly describe?: () => Promise<DeadLetterTopic | undefined>;
  readonly log: Logger;
  /** Time between two attempts; default: 1 s. */
  readonly retryWaitMs?: number;
}

interface PendingLetter {
  readonly letter: DeadLetter;
  adaptations: ReadonlySet<Adaptation>;
  refusal: string | undefined;
}

/** The letters of one call, which are of one source partition. */
interface LetterDelivery {
  readonly queue: PartitionQueue<PendingLetter>;
  readonly isWanted: () => boolean;
  target: number;
  /** Consecutive failures with an unclear cause. */
  unclearCount: number;
  loggedFailure: string | undefined;
}

interface Attempt {
  readonly startedAtMs: number;
  /** The last error that the client is retrying after. */
  error: unknown;
}

type Outcome = SendOutcome<PendingLetter, unknown> | { readonly kind: "abandoned" };

const RETRY_WAIT_MS = 1_000;
/** Half of a broker's default `max.message.bytes`. */
const BATCH_BYTES_MAX = 512 * 1024;
/** Time after which a send without an answer is checked: the client silently retries most failures. */
const CHECK_AFTER_MS = 1_000;
const CHECK_INTERVAL_MS = 1_000;
/** Time after which a send without an answer counts as failed even without a known reason. */
const SILENT_AFTER_MS = 5_000;
const UNCLEAR_COUNT_MAX = 3;
const NONE: ReadonlySet<Adaptation> = new Set();

export class DeadLetters {
  readonly #options: DeadLettersOptions;
  readonly #sizer = new BatchSizer(BATCH_BYTES_MAX);
  readonly #refusals = new KnownRefusals();
  /** The last send to each partition of the dead-letter topic. */
  readonly #turns = new Map<number, Promise<unknown>>();
  readonly #deliveries = new Map<number, LetterDelivery>();
  /** Current failures, by partition of the dead-letter topic. */
  readonly #failures = new Map<number, string>();
  #partitionCount: number;
  #isCompacted: boolean;
  #refreshing: Promise<string | undefined> | undefined;

  constructor(options: DeadLettersOptions) {
    this.#options = options;
    this.#partitionCount = options.partitionCount;
    this.#isCompacted = options.isCompacted ?? false;
  }

  /** The letters that cannot be sent now, by source partition. */
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
   * Sends letters of one source partition and waits until all are acknowledged, as long as `isWanted` returns true.
   *
   * @returns false if they were abandoned: some may have been sent, and will be sent again.
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

  /** @returns false if the letters were abandoned meanwhile. */
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

  /** Sends the next batch after the previous send to the same partition has settled. */
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
    // The turn ends with the send, even if the letters are abandoned before its answer.
    this.#turns.set(target, sent.catch(() => {}));
    return await Promise.race([sent, abandoned]);
  }

  async #sendBatch({ queue, target }: LetterDelivery): Promise<Outcome> {
    const { producer, topic } = this.#options;
    const attempt: Attempt = { startedAtMs: performance.now(), error: undefined };
    using _check = this.#checkWhenSlow(attempt, target);
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

  /** @returns false if no adaptation is left; the letter is then reset to its original form. */
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

  /** @returns false if the letters were abandoned meanwhile. */
  async #waitAfter({ isWanted, target }: LetterDelivery, error: DeliveryError): Promise<boolean> {
    this.#noteFailure(target, describe(error));
    this.#refresh();
    using wanted = watchWanted(isWanted);
    await Promise.race([delay(this.#options.retryWaitMs ?? RETRY_WAIT_MS), wanted.ended]);
    return isWanted();
  }

  /** Logs a failure once for each affected source partition. */
  #noteFailure(target: number, failure: string): void {
    this.#failures.set(target, failure);
    for (const [partition, delivery] of this.#deliveries) {
      const record = delivery.queue.first?.letter.record;
      if (record === undefined || delivery.target !== target) continue;
      if (delivery.loggedFailure === failure) continue;
      delivery.loggedFailure = failure;
      this.#options.log.error(
        "Dead letters cannot be sent; their partition waits, and the send is retried",
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

  /** Periodically checks why a send has no answer. */
  #checkWhenSlow(attempt: Attempt, target: number): Disposable {
    let isOver = false;
    const check = async () => {
      const described = await Promise.race([this.#refresh(), delay(CHECK_INTERVAL_MS)]);
      if (isOver) return;
      const failure = described ?? failureOf(attempt);
      if (failure !== undefined) this.#noteFailure(target, failure);
      timer = setTimeout(check, CHECK_INTERVAL_MS);
    };
    let timer = setTimeout(check, CHECK_AFTER_MS);
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
   * @returns the reason why it accepts nothing, if its description shows one.
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

/** Returns the reason why a send has no answer yet; undefined if it is only recent. */
function failureOf({ startedAtMs, error }: Attempt): string | undefined {
  if (error !== undefined && scopeOf(error) === "topic") return describe(error);
  if (performance.now() - startedAtMs < SILENT_AFTER_MS) return undefined;
  return error === undefined ? "no broker answers" : describe(error);
}

/** Returns the properties of a record for which the topic has bounds. */
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
  INVALID_RECORD: "check the topic's settings, such as cleanup.policy",
  UNKNOWN_TOPIC_OR_PARTITION: "create the topic again",
  NOT_ENOUGH_REPLICAS: "start the brokers of its replicas, or lower min.insync.replicas",
  KAFKA_STORAGE_ERROR: "check the broker's disk",
};

function describe(error: unknown): string {
  const reason = reasonOf(error);
  const advice = ADVICE[reason] ?? adviceFor(reason);
  const message = error instanceof Error ? error.message : String(error);
  return `${message} (${reason})${advice === undefined ? "" : `: ${advice}`}`;
}
