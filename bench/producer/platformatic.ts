/**
 * Sends lines of a file with @platformatic/kafka as fast as possible: idempotent, acks=all, one send in flight per
 * partition, batches of our size. Run by bench.ts without this project's configuration, so that the package does not
 * become a dependency.
 *
 *     platformatic.ts BROKER TOPIC COUNT PAYLOAD_FILE
 */

import { Buffer } from "node:buffer";
// deno-lint-ignore no-import-prefix -- only compared with, not a dependency of this project
import { ProduceAcks, Producer } from "npm:@platformatic/kafka@2.12.1";

const PARTITIONS = 3;
const BATCH_COUNT = 380; // of 1.35 kB: 512 KiB

const [broker = "", topic = "", countText = "", payloadPath = ""] = Deno.args;
const count = Number(countText);
const values = Deno.readTextFileSync(payloadPath).trimEnd().split("\n")
  .map((line) => Buffer.from(line));

const producer = new Producer({
  clientId: "bench",
  bootstrapBrokers: [broker],
  idempotent: true,
  acks: ProduceAcks.ALL,
});

const latenciesMs: number[] = [];
let taken = 0;

async function drain(partition: number): Promise<void> {
  while (taken < count) {
    const size = Math.min(BATCH_COUNT, count - taken);
    const first = taken;
    taken += size;
    const messages = Array.from({ length: size }, (_, index) => ({
      topic,
      partition,
      value: values[(first + index) % values.length],
    }));
    const sentAtMs = performance.now();
    await producer.send({ messages });
    latenciesMs.push(performance.now() - sentAtMs);
  }
}

const startedAtMs = performance.now();
await Promise.all(Array.from({ length: PARTITIONS }, (_, partition) => drain(partition)));
const seconds = (performance.now() - startedAtMs) / 1_000;
await producer.close();

latenciesMs.sort((a, b) => a - b);
const at = (share: number) => latenciesMs[Math.floor(latenciesMs.length * share)] ?? 0;
// deno-lint-ignore no-console -- output for bench.ts
console.log(JSON.stringify({ rate: count / seconds, p50: at(0.5), p99: at(0.99) }));
Deno.exit(0);
