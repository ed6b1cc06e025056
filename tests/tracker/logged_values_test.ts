import assert from "node:assert/strict";
import { createShop } from "../../lib/shop/shop.ts";
import { loggedMessageOf } from "../../lib/tracker/failures.ts";
import { DEFAULT_RETRY_POLICY, runHandler } from "../../lib/tracker/handler.ts";
import { judgeRecord } from "../../lib/tracker/judge.ts";

const ENCODER = new TextEncoder();
const SECRET = "jane.doe-7351";
const SECRET_NUMBER = 73517351.25;
const order = createShop({ seed: 1 }).nextOrder(0);

function recordOf(text: string) {
  return {
    ...{ topic: "orders", partition: 0, offset: 0, timestampMs: 0, key: null, headers: [] },
    value: ENCODER.encode(text),
  };
}

function* withEachLeaf(value: unknown, leaf: unknown): Generator<unknown> {
  if (Array.isArray(value)) {
    yield leaf;
    for (const [index, item] of value.entries()) {
      for (const other of withEachLeaf(item, leaf)) yield value.with(index, other);
    }
  } else if (typeof value === "object" && value !== null) {
    yield leaf;
    for (const [name, field] of Object.entries(value)) {
      for (const other of withEachLeaf(field, leaf)) yield { ...value, [name]: other };
    }
  } else yield leaf;
}

Deno.test("loggedMessageOf() quotes no values of a bad record, unless --log-values is set", () => {
  const texts = [SECRET, `"${SECRET}"`, `{"a":"${SECRET}" x`, `${SECRET_NUMBER}`, `[1`];
  for (const leaf of [SECRET, SECRET_NUMBER, -SECRET_NUMBER, [SECRET], { [SECRET]: SECRET }, " "]) {
    for (const value of withEachLeaf(order, leaf)) texts.push(JSON.stringify(value));
  }
  let failureCount = 0;
  let quotedCount = 0;
  for (const text of texts) {
    const { failure } = judgeRecord(recordOf(text));
    if (failure === undefined) continue;
    failureCount++;
    const logged = loggedMessageOf(failure, { logValues: false });
    assert.ok(logged !== undefined && logged !== "");
    assert.doesNotMatch(logged, /7351|jane|got/, text);
    const full = loggedMessageOf(failure, { logValues: true });
    assert.equal(full, failure.message);
    if (/7351|jane/.test(full)) quotedCount++;
  }
  assert.ok(failureCount > 100, `${failureCount} failures`);
  assert.ok(quotedCount > 50, `${quotedCount} quote the value`);
});

Deno.test("loggedMessageOf() names the class of a handler's error, not its message", async () => {
  const outcome = await runHandler({
    handler: () => {
      throw new RangeError(`cannot bill ${SECRET}`);
    },
    order,
    record: recordOf(""),
    policy: { ...DEFAULT_RETRY_POLICY, retryCount: 0 },
    stop: new AbortController().signal,
  });
  assert.ok(outcome.kind === "failed");
  const { failure } = outcome;
  assert.equal(
    loggedMessageOf(failure, { logValues: false }),
    "the handler failed: RangeError",
  );
  assert.match(failure.message, /cannot bill jane/);
});
