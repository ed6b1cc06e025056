import assert from "node:assert/strict";
import { withHeartbeats } from "../../../lib/kafka/consumer/with_heartbeats.ts";

Deno.test("withHeartbeats() sends heartbeats while a part takes long, and none while parts arrive at once", async () => {
  let heartbeats = 0;
  const { promise: secondHeartbeat, resolve } = Promise.withResolvers<void>();
  async function* parts() {
    yield "at once";
    yield "at once, too";
    assert.equal(heartbeats, 0);
    await secondHeartbeat;
    yield "late";
  }
  const received: string[] = [];
  const heartbeat = () => {
    if (++heartbeats === 2) resolve();
    return Promise.resolve();
  };
  for await (const part of withHeartbeats(parts(), heartbeat)) received.push(part);
  assert.deepEqual(received, ["at once", "at once, too", "late"]);
  assert.equal(heartbeats, 2);
});

Deno.test("withHeartbeats() stops waiting for parts once the member must rejoin, and ends the iteration", async () => {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  async function* parts() {
    try {
      await late;
      yield "late";
    } finally {
      end();
    }
  }
  const rebalancing = new Error("the group is rebalancing");
  const reading = withHeartbeats(parts(), () => Promise.reject(rebalancing)).next();
  await assert.rejects(reading, rebalancing);
  resolve();
  await ended;
});

Deno.test("withHeartbeats() propagates an error of the parts", async () => {
  // deno-lint-ignore require-yield -- it fails before its first part
  async function* parts(): AsyncGenerator<string, void, void> {
    await Promise.resolve();
    throw new RangeError("unreadable");
  }
  await assert.rejects(withHeartbeats(parts(), () => Promise.resolve()).next(), /unreadable/);
});
