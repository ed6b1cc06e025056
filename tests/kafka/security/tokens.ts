import assert from "node:assert/strict";
import { join } from "node:path";
import { type KafkaConnection, openTracker, ReliableProducer } from "../../../mod.ts";
import { countJournalLines, type Site } from "../../site.ts";
import { allow } from "../secured_broker.ts";
import { broker, brokerTest, produceOne, securedSite } from "../secured_site.ts";
import { producerPermissions, trackerPermissions } from "./documented_permissions.ts";

const USER = "oscar";

/** Creates a token that Kafka accepts if signatures are not checked. */
function unsecuredToken({ lifetimeMs }: { readonly lifetimeMs: number }): string {
  const part = (value: object) =>
    new TextEncoder().encode(JSON.stringify(value))
      .toBase64({ alphabet: "base64url", omitPadding: true });
  const nowSeconds = Date.now() / 1_000;
  const claims = { sub: USER, iat: nowSeconds, exp: nowSeconds + lifetimeMs / 1_000 };
  return `${part({ alg: "none" })}.${part(claims)}.`;
}

function connectionWith(token: () => Promise<string>): KafkaConnection {
  return {
    brokers: [broker.sasl],
    clientId: "orderflow-test",
    security: {
      tls: { ca: Deno.readTextFileSync(join(broker.folder, "ca.pem")) },
      sasl: { mechanism: "oauthbearer", token },
    },
  };
}

async function track(site: Site, token: () => Promise<string>): Promise<void> {
  await using tracker = await openTracker({
    connection: connectionWith(token),
    topic: site.topic,
    groupId: site.group,
    logs: site.logs,
    from: "earliest",
    deadLetterTopic: site.deadLetterTopic,
    logLevel: "error",
    schema: "order",
  });
  await tracker.run({ stop: AbortSignal.timeout(30_000), exitAtEnd: true });
}

brokerTest(
  "a token from the program's own function is accepted, and a bad one is refused with a plain error",
  async () => {
    await using site = await securedSite({ partitions: 1 });
    await allow(broker, USER, trackerPermissions(site));
    assert.equal((await produceOne(site, {}, broker.plain)).code, 0);

    const expired = unsecuredToken({ lifetimeMs: -60_000 });
    await assert.rejects(
      track(site, () => Promise.resolve(expired)),
      (error: Error) =>
        /the broker rejects the token .*it is expired/.test(error.message) &&
        !Deno.inspect(error).includes(expired),
    );
    await assert.rejects(
      track(site, () => Promise.reject(new Error("the token service is closed"))),
      /cannot get a token.*the token service is closed.*token function/,
    );
    await track(site, () => Promise.resolve(unsecuredToken({ lifetimeMs: 60_000 })));
    assert.equal(countJournalLines(site.logs), 1);
  },
);

brokerTest(
  "the token function is called again before its token expires, and for each connection",
  async () => {
    await using site = await securedSite({ partitions: 1 });
    await allow(broker, USER, producerPermissions(site));
    let askedCount = 0;
    const connection = connectionWith(() => {
      askedCount++;
      return Promise.resolve(unsecuredToken({ lifetimeMs: 2_000 }));
    });
    const value = new TextEncoder().encode("{}");
    const first = new ReliableProducer(connection);
    const records = [{ partition: 0, key: null, value, headers: [] }];
    const deadline = performance.now() + 20_000;
    let sentCount = 0;
    while (askedCount < 3 && performance.now() < deadline) {
      const { baseOffset } = await first.send({ topic: site.topic, partition: 0, records });
      assert.equal(baseOffset, sentCount++, "nothing is lost or sent twice");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.equal(askedCount, 3, "it was called twice more");
    assert.ok(sentCount > 10, "not before each request");
    await first.close();
    const second = new ReliableProducer(connection);
    await second.connect();
    await second.close();
    assert.ok(askedCount > 3);
  },
);
