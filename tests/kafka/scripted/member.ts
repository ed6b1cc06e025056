/**
 * A `GroupConsumer` on a scripted cluster, whose owner is the test: it receives batches as they are handed over and
 * decides the outcome of each.
 *
 *     await using member = await startMember(cluster);
 *     const one = await member.batch();
 *     one.finish(true);                                  // safe: to be committed
 *     await soon("it is committed", () => member.committed(0)?.offset === 2);
 */

import { ClusterClient } from "../../../lib/kafka/cluster.ts";
import type {
  Assignment,
  ConsumedBatch,
  ConsumerNotice,
  GroupConsumerOptions,
} from "../../../lib/kafka/consumer/api.ts";
import { GroupConsumer } from "../../../lib/kafka/consumer/group_consumer.ts";
import type { ScriptedGroupCluster } from "./group_cluster.ts";
import type { CommittedNote } from "./group_script.ts";

const POLL_MS = 2;
const POLLS_MAX = 2_000;
/** The member sends a heartbeat five times in this period, so that a test need not wait for them. */
const SESSION_TIMEOUT_MS = 100;

/** Uses real time, even under a test's clock. */
const { setTimeout } = globalThis;

/** A batch that was handed over, with its records' values as strings. */
export interface HandedBatch extends ConsumedBatch {
  readonly values: readonly (string | null)[];
  finish(isSafe: boolean): void;
}

export interface Member extends AsyncDisposable {
  readonly consumer: GroupConsumer;
  /** Settles as the consumer's `run` did; fails if it still runs. */
  ended(): Promise<void>;
  /** All batches that were handed over, in order. */
  readonly batches: readonly HandedBatch[];
  readonly notices: readonly ConsumerNotice[];
  readonly assignments: readonly Assignment[];
  /** Returns the next batch that no other call has received. */
  batch(): Promise<HandedBatch>;
  noticesOf<Kind extends ConsumerNotice["kind"]>(
    kind: Kind,
  ): readonly Extract<ConsumerNotice, { readonly kind: Kind }>[];
  committed(partition: number): CommittedNote | undefined;
}

/**
 * Starts a member.
 *
 * @param options override the member's own: with `onBatch`, nothing is kept in `batches`.
 */
export async function startMember(
  cluster: ScriptedGroupCluster,
  options: Partial<GroupConsumerOptions> = {},
): Promise<Member> {
  const connection = { brokers: cluster.brokers, clientId: "scripted-member" };
  const [topic = ""] = cluster.topics.keys();
  const client = await ClusterClient.connect(connection, "persist");
  const batches: HandedBatch[] = [];
  const notices: ConsumerNotice[] = [];
  const assignments: Assignment[] = [];
  let takenCount = 0;
  const consumer = new GroupConsumer(client, {
    connection,
    topic,
    groupId: "group",
    commitMetadata: (topicId) => `note of ${topicId}`,
    startAt(assignment) {
      assignments.push(assignment);
      return new Map();
    },
    onBatch(batch) {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const values = batch.records.map(({ value }) => value && new TextDecoder().decode(value));
      batches.push({ ...batch, values, finish: resolve });
      return promise;
    },
    onNotice: (notice) => notices.push(notice),
    sessionTimeoutMs: SESSION_TIMEOUT_MS,
    ...options,
  });
  const running = consumer.run();
  let isRunning = true;
  running.catch(() => {}).finally(() => isRunning = false); // a test that expects an error awaits it
  return {
    consumer,
    batches,
    notices,
    assignments,
    async ended() {
      await soon("the consumer's run has ended", () => !isRunning);
      await running;
    },
    async batch() {
      const index = takenCount++;
      await soon(`batch ${index + 1} is handed over`, () => batches.length > index);
      const batch = batches[index];
      if (batch === undefined) throw new RangeError(`expected batch ${index + 1}`);
      return batch;
    },
    noticesOf: (kind) => notices.filter((notice) => isOfKind(notice, kind)),
    committed: (partition) => cluster.committed.get(options.topic ?? topic)?.get(partition),
    async [Symbol.asyncDispose]() {
      for (const batch of batches) batch.finish(false); // unfinished ones
      await consumer.stop();
      await running.catch(() => {});
      await client[Symbol.asyncDispose]();
    },
  };
}

/** Polls frequently until the condition holds: nothing takes long on a scripted cluster. */
export async function soon(what: string, condition: () => boolean): Promise<void> {
  for (let poll = 0; !condition(); poll++) {
    if (poll === POLLS_MAX) throw new Error(`not after ${POLLS_MAX} polls: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function isOfKind<Kind extends ConsumerNotice["kind"]>(
  notice: ConsumerNotice,
  kind: Kind,
): notice is Extract<ConsumerNotice, { readonly kind: Kind }> {
  return notice.kind === kind;
}
