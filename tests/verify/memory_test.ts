import assert from "node:assert/strict";
import { join } from "node:path";
import { EventWriter } from "../../lib/journal/line.ts";
import type { KafkaRecord } from "../../lib/record.ts";
import { liveBroker } from "../live_broker.ts";
import { bytesOf, createVerifySite, TIMESTAMP_MS } from "./verify_site.ts";

const PROJECT = join(import.meta.dirname ?? ".", "..", "..");
const RECORDS = Number(Deno.env.get("VERIFY_RECORDS") ?? 1_000_000);
const PARTITIONS = 3;
const BATCH_RECORDS = 4_000;
const PEAK_MB_MAX = 200;

/**
 * Goal: memory is bounded on both sides.
 * Method: `verify` runs in its own process, which reports its peak memory (the kernel's VmHWM) at the end.
 */
Deno.test({
  name: `verifyJournals() uses less than ${PEAK_MB_MAX} MB for a million records`,
  ignore: Deno.env.get("VERIFY_MILLION") === undefined || Deno.build.os !== "linux",
  fn: async () => {
    await using site = await createVerifySite({ partitions: PARTITIONS });
    const logs = join(site.folder, "logs");
    await Deno.mkdir(logs);
    const journal = await Deno.open(join(logs, "tracker.events"), { write: true, create: true });
    for (let first = 0; first < RECORDS; first += BATCH_RECORDS) {
      const partition = (first / BATCH_RECORDS) % PARTITIONS;
      const outgoing = Array.from({ length: BATCH_RECORDS }, (_, index) => ({
        key: bytesOf(`customer ${index % 500}`),
        value: bytesOf(`{"order_id":"${crypto.randomUUID()}","sequence":${first + index}}`),
      }));
      await write(journal, await site.send(partition, outgoing), site.topicId);
    }
    journal.close();

    const { address } = await liveBroker();
    const script = `
      import { ClusterClient } from "./lib/kafka/cluster.ts";
      import { verifyJournals } from "./lib/verify/verify.ts";
      const connection = { brokers: ${JSON.stringify(address.split(","))}, clientId: "memory" };
      await using cluster = await ClusterClient.connect(connection, "probe");
      const startedAt = performance.now();
      const { ok, records, journaled } = await verifyJournals({
        cluster,
        connection,
        topic: ${JSON.stringify(site.topic)},
        directories: [${JSON.stringify(logs)}],
      });
      const peak = /VmHWM:\\s+(\\d+) kB/.exec(Deno.readTextFileSync("/proc/self/status"))?.[1];
      const seconds = (performance.now() - startedAt) / 1000;
      console.log(JSON.stringify({ ok, records, journaled, peakMb: Number(peak) / 1024, seconds }));
    `;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--config", join(PROJECT, "deno.json"), script],
      cwd: PROJECT,
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    const { ok, records, journaled, peakMb, seconds } = JSON.parse(
      new TextDecoder().decode(stdout),
    );
    const figures = `${records} records: ${peakMb.toFixed(0)} MB, ${seconds.toFixed(1)} s`;
    await Deno.stderr.write(bytesOf(`${figures}\n`));
    assert.deepEqual({ ok, records, journaled }, {
      ok: true,
      records: RECORDS,
      journaled: RECORDS,
    });
    assert.ok(peakMb < PEAK_MB_MAX, figures);
  },
});

async function write(
  journal: Deno.FsFile,
  records: readonly KafkaRecord[],
  topicId: string,
): Promise<void> {
  const writer = new EventWriter();
  const verdict = { eventType: "message.received", isText: true, deserialized: true } as const;
  const context = { receivedAt: new Date(TIMESTAMP_MS), topicId };
  for (const record of records) writer.write(record, verdict, context);
  const stream = journal.writable.getWriter();
  await stream.write(Uint8Array.from(writer.lines));
  stream.releaseLock();
}
