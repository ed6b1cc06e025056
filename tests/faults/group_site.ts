/**
 * Shared by the tests of consumer groups: members that are not trackers, the assignment of partitions, and an
 * operator's changes to a topic's partitions and a group's offsets.
 */

import type { Buffer } from "node:buffer";
import { join } from "node:path";
import type { Assigner } from "kafkajs";
import decoderModule from "kafkajs/src/protocol/decoder.js";
import encoderModule from "kafkajs/src/protocol/encoder.js";
import { spawnBoundToUs } from "../../dev/child_process.ts";
import { kafkaJars } from "../../dev/kafka_jars.ts";
import type { Program } from "../../dev/programs.ts";
import { createCluster } from "../../lib/kafka/kafkajs/client_cluster.ts";
import {
  decodeAssignment,
  encodeAssignment,
  encodeSubscription,
} from "../../lib/kafka/protocol/consumer_protocol.ts";
import { type Site, until, withAdmin } from "../site.ts";
import { TEST_TIMEOUT_MS, withDeadline } from "./fault_site.ts";

export async function addPartitions(site: Site, count: number): Promise<void> {
  await withAdmin(
    site,
    (admin) => admin.createPartitions({ topicPartitions: [{ topic: site.topic, count }] }),
  );
  const countNow = async () =>
    (await withAdmin(site, (admin) => admin.fetchTopicOffsets(site.topic))).length;
  await until("the partitions are there", async () => await countNow().catch(() => 0) === count);
}

/** Writes records that are not orders to each of these partitions. */
export async function sendTo(
  site: Site,
  partitions: readonly number[],
  { count, prefix = "record" }: { readonly count: number; readonly prefix?: string },
): Promise<void> {
  const producer = site.kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  await producer.send({
    topic: site.topic,
    messages: partitions.flatMap((partition) =>
      Array.from({ length: count }, (_, index) => ({
        partition,
        value: `${prefix} ${partition}/${index}`,
      }))
    ),
  });
  await producer.disconnect();
}

/** Returns the partitions of the topic that each member of the group holds; undefined during a rebalance. */
export async function partitionsHeld(
  site: Site,
): Promise<ReadonlyMap<string, readonly number[]> | undefined> {
  const { groups: [group] } = await withAdmin(site, (admin) => admin.describeGroups([site.group]));
  if (group?.state !== "Stable") return undefined;
  return new Map(
    group.members.map(({ memberId, memberAssignment }) => [
      memberId,
      decodeAssignment(memberAssignment).get(site.topic) ?? [],
    ]),
  );
}

/** Polls until the members hold these numbers of the topic's partitions, in any order. */
export async function untilHeld(site: Site, counts: readonly number[]): Promise<void> {
  const expected = counts.toSorted().join();
  let last = "nothing";
  await until(`members hold ${expected} partitions`, async () => {
    const held = await partitionsHeld(site).catch(() => undefined);
    if (held !== undefined) last = [...held.values()].map(({ length }) => length).sort().join();
    return held !== undefined && last === expected;
  }, TEST_TIMEOUT_MS).catch((error) => {
    throw new Error(`${error.message}; last: ${last}`);
  });
}

export interface ForeignMemberOptions {
  /** `kafkajs` for its own assigner, which earlier trackers used. Default: `roundrobin`. */
  readonly protocol?: "roundrobin" | "kafkajs";
  /** The member's subscription. Default: the site's topic. */
  readonly subscription?: Buffer;
  /** Partitions of the site's topic that it assigns to itself as the group's leader. */
  readonly own?: readonly number[];
  /** Partitions that it then assigns to the other members. */
  readonly others?: readonly number[];
}

const FOREIGN_CLIENT = "kafkajs";

/** Joins the site's group as a member that is not a tracker: it reads the site's topic, and commits nothing. */
export async function joinAsForeigner(
  site: Site,
  options: ForeignMemberOptions = {},
): Promise<AsyncDisposable> {
  const consumer = site.kafka.consumer({
    groupId: site.group,
    heartbeatInterval: 200,
    sessionTimeout: 6_000,
    maxWaitTimeInMs: 100,
    allowAutoTopicCreation: false,
    ...(options.protocol !== "kafkajs" && {
      partitionAssigners: [() => foreignAssigner(site.topic, options)],
    }),
  });
  const { promise: joined, resolve } = Promise.withResolvers<void>();
  consumer.on(consumer.events.GROUP_JOIN, () => resolve());
  await consumer.connect();
  await consumer.subscribe({ topics: [site.topic], fromBeginning: true });
  await consumer.run({ autoCommit: false, eachMessage: () => Promise.resolve() });
  await withDeadline(joined, () => "a foreign member has not joined");
  return { [Symbol.asyncDispose]: () => consumer.disconnect() };
}

function foreignAssigner(
  topic: string,
  { subscription, own = [], others = [] }: ForeignMemberOptions,
): Assigner {
  const name = "roundrobin";
  return {
    name,
    version: 0,
    protocol: ({ topics }) => ({ name, metadata: subscription ?? encodeSubscription(topics) }),
    assign({ members }) {
      const isOwn = (memberId: string) => memberId.startsWith(FOREIGN_CLIENT);
      const rest = members.filter(({ memberId }) => !isOwn(memberId));
      return Promise.resolve(members.map(({ memberId }) => {
        const share = others.filter((_, index) => rest[index % rest.length]?.memberId === memberId);
        const partitions = isOwn(memberId) ? own : share;
        return { memberId, memberAssignment: encodeAssignment(new Map([[topic, partitions]])) };
      }));
    },
  };
}

/** `partition/offset` of each record that a console consumer has printed. */
export type Printed = () => readonly string[];

/**
 * Starts Kafka's own console consumer, with Java's RoundRobinAssignor, as a member of the site's group. It ends with
 * `using`, or on SIGTERM, when it commits and leaves.
 */
export async function startConsoleConsumer(
  site: Site,
): Promise<Program & Disposable & { readonly printed: Printed }> {
  const jars = await kafkaJars();
  const properties = {
    "partition.assignment.strategy": "org.apache.kafka.clients.consumer.RoundRobinAssignor",
    "auto.offset.reset": "earliest",
    "heartbeat.interval.ms": "200",
    "session.timeout.ms": "30000",
  };
  const process = spawnBoundToUs("java", {
    args: [
      ...["-XX:TieredStopAtLevel=1", "-Xmx128m", "-cp", join(jars, "*")],
      ...["org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", site.broker],
      ...["--topic", site.topic, "--group", site.group],
      ...Object.entries(properties).flatMap(([key, value]) => [
        "--command-property",
        `${key}=${value}`,
      ]),
      ...["print.partition=true", "print.offset=true", "print.value=false"].flatMap((property) => [
        "--formatter-property",
        property,
      ]),
    ],
    cwd: site.folder,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const output = { stdout: "", stderr: "" };
  const collect = async (stream: "stdout" | "stderr") => {
    for await (const text of process[stream].pipeThrough(new TextDecoderStream())) {
      output[stream] += text;
    }
  };
  const ended = Promise.all([process.status, collect("stdout"), collect("stderr")]);
  const signal: Program["signal"] = (name) => {
    try {
      process.kill(name);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended
    }
  };
  return {
    pid: process.pid,
    exitCode: ended.then(([status]) => status.code),
    output,
    signal,
    printed: () =>
      [...output.stdout.matchAll(/Partition:(\d+)\s+Offset:(\d+)/g)]
        .map(([, partition, offset]) => `${partition}/${offset}`),
    [Symbol.dispose]: () => signal("SIGKILL"),
  };
}

const OFFSET_DELETE = 47;
// deno-lint-ignore no-explicit-any -- kafkajs's encoder has no types
const Encoder = encoderModule as any;
// deno-lint-ignore no-explicit-any -- kafkajs's decoder has no types
const Decoder = decoderModule as any;

/**
 * Deletes the committed offsets of these partitions, as after `offsets.retention.minutes` without records. The group
 * must have no members. kafkajs has no such request.
 *
 * Message format: https://kafka.apache.org/protocol#The_Messages_OffsetDelete
 */
export async function deleteOffsets(site: Site, partitions: readonly number[]): Promise<void> {
  const cluster = createCluster(site.kafka);
  await cluster.connect();
  const coordinator = await cluster.findGroupCoordinator({ groupId: site.group });
  const errorCode = await coordinator.connectionPool.send({
    request: {
      apiKey: OFFSET_DELETE,
      apiVersion: 0,
      apiName: "OffsetDelete",
      encode: () =>
        Promise.resolve(
          new Encoder()
            .writeString(site.group)
            .writeArray([new Encoder().writeString(site.topic).writeArray(partitions)]),
        ),
    },
    response: {
      decode: (payload) => Promise.resolve(new Decoder(payload).readInt16()),
      parse: (decoded) => Promise.resolve(decoded),
    },
  });
  await cluster.disconnect();
  if (errorCode !== 0) throw new Error(`cannot delete offsets: error code ${errorCode}`);
}
