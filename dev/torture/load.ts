/**
 * Sends records of every kind to both topics, and keeps which of them the brokers acknowledged.
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { CompressionTypes, type Message } from "kafkajs";
import { createShop, type Shop } from "../../lib/shop/shop.ts";
import { Random } from "../../lib/shop/random.ts";
import { pick } from "./schedule.ts";
import { delay, ROLES, type Stage, type TopicRole, TOPICS } from "./stage.ts";

const PAUSE_MS = 60;
const BATCH_MAX = 12;
/** About 500 kB of orders. */
const BURST_MAX = 400;

export interface Acknowledged {
  readonly role: TopicRole;
  readonly incarnation: number;
  readonly sentAtMs: number;
  readonly partition: number;
  readonly offset: number;
  readonly sha256: string;
}

/** Sends until told to stop. Ignores failed sends, because nothing was promised for them. */
export async function writeLoad(
  stage: Stage,
  { seed, stop }: { readonly seed: number; readonly stop: AbortSignal },
): Promise<readonly Acknowledged[]> {
  const random = new Random(seed, { stream: 1 });
  const shop = createShop({ seed, customers: 50 });
  const acknowledged: Acknowledged[] = [];
  // With neither idempotence nor retries, kafkajs's acknowledgments can be trusted.
  const producer = stage.kafka.producer({ metadataMaxAge: 5_000, retry: { retries: 0 } });
  for (let sequence = 0; !stop.aborted;) {
    const role: TopicRole = random.unit() < 0.8 ? "main" : "other";
    const incarnation = stage.facts.incarnations[role];
    const partition = Math.floor(random.unit() * stage.partitionCounts[role]);
    const count = 1 + Math.floor(random.unit() * BATCH_MAX);
    const messages = Array.from(
      { length: count },
      () => randomMessage(random, { shop, sequence: sequence++ }),
    )
      .map((message) => ({ ...message, partition }));
    const compression = random.unit() < 0.2 ? CompressionTypes.GZIP : CompressionTypes.None;
    const pauseMs = PAUSE_MS * random.unit() * 2;
    const sentAtMs = performance.now();
    try {
      await producer.connect();
      const topic = TOPICS[role];
      const [answer] = await producer.send({ topic, messages, compression, timeout: 3_000 });
      const base = Number(answer?.baseOffset ?? -1);
      if (base < 0 || answer?.partition !== partition) continue;
      for (const [index, { value }] of messages.entries()) {
        const place = { role, incarnation, sentAtMs, partition, offset: base + index };
        acknowledged.push({ ...place, sha256: sha256(value) });
      }
    } catch {
      await producer.disconnect().catch(() => {});
    }
    await delay(pauseMs);
  }
  await producer.disconnect();
  return acknowledged;
}

/** Fills partitions quickly with one order, each up to an offset, but not beyond `BURST_MAX`. */
export async function writeBurst(
  stage: Stage,
  { role, ends }: { readonly role: TopicRole; readonly ends: ReadonlyMap<number, number> },
): Promise<void> {
  const value = JSON.stringify(createShop({ seed: 1 }).nextOrder(Date.now()));
  const producer = stage.kafka.producer({ retry: { retries: 5 } });
  await producer.connect();
  for (const [partition, end] of ends) {
    const messages = Array.from({ length: Math.min(end, BURST_MAX) }, () => ({ value, partition }));
    if (messages.length > 0) await producer.send({ topic: TOPICS[role], messages });
  }
  await producer.disconnect();
}

/**
 * Appends one more record to each partition, so that lost records before it have a successor. Returns these records.
 */
export async function writeLast(stage: Stage): Promise<readonly Acknowledged[]> {
  const value = Buffer.from("last");
  const written: Acknowledged[] = [];
  const producer = stage.kafka.producer({ retry: { retries: 30 } });
  await producer.connect();
  for (const role of ROLES) {
    for (let partition = 0; partition < stage.partitionCounts[role]; partition++) {
      const messages = [{ key: "last", value, partition }];
      const [answer] = await producer.send({ topic: TOPICS[role], messages });
      const incarnation = stage.facts.incarnations[role];
      const place = { role, incarnation, sentAtMs: performance.now(), partition };
      written.push({ ...place, offset: Number(answer?.baseOffset), sha256: sha256(value) });
    }
  }
  await producer.disconnect();
  return written;
}

function sha256(bytes: Buffer | null): string {
  return bytes === null ? "null" : createHash("sha256").update(bytes).digest("hex");
}

function randomMessage(
  random: Random,
  { shop, sequence }: { readonly shop: Shop; readonly sequence: number },
): Message & { value: Buffer | null } {
  const bytes = (length: number) =>
    Buffer.from(Uint8Array.from({ length }, () => random.uint32() & 0xff));
  const order = shop.nextOrder(Date.now());
  const good = () => JSON.stringify(order);
  const value = pick<() => Buffer | string | null>([
    ...[good, good, good, good, good, good, good, good],
    ...[
      () => JSON.stringify({ ...order, total: order.total + 7 }),
      () => `{"order_id":${sequence}`,
    ],
    ...[() => bytes(Math.floor(random.unit() * 200)), () => null, () => ""],
    () => "[".repeat(500) + "]".repeat(500),
    () => `\ufeff{"a":"\\u0000\\ud800","a":1e999}`,
    () => `{"big":9007199254740993,\r\n"text":"${"x".repeat(Math.floor(random.unit() * 30_000))}"}`,
    () => sequence % 5 === 0 ? bytes(300_000) : bytes(3_000),
    () => `Café ${sequence}\u2028 ☕ of text \u001b[31m`,
  ], random.unit())();
  const times = ["0", "1", "4102444800000", "9007199254740993"];
  return {
    key: pick([null, Buffer.alloc(0), bytes(4), ..."abcdefg"], random.unit()),
    value: typeof value === "string" ? Buffer.from(value) : value,
    timestamp: random.unit() < 0.8 ? String(Date.now()) : pick(times, random.unit()),
    ...(random.unit() < 0.3 && {
      headers: { trace: `${sequence}`, many: ["1", "2", ""], bytes: Buffer.from([0xff, 0, 10]) },
    }),
  };
}
