import assert from "node:assert/strict";
import { AssignerProtocol } from "kafkajs";
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from "../../../lib/kafka/protocol/consumer_protocol.ts";

const JAVA_SUBSCRIPTIONS = [
  "00000000000200016100026262ffffffff",
  "00010000000200016100026262ffffffff000000010001610000000100000001",
  "00020000000200016100026262ffffffff00000001000161000000010000000100000007",
  "00030000000200016100026262ffffffff0000000100016100000001000000010000000700027231",
];
const JAVA_ASSIGNMENT = "000161000000020000000000000003000262620000000100000002ffffffff";
const TOPICS = ["a", "bb"];
const ASSIGNMENT = new Map([["a", [0, 3]], ["bb", [2]]]);

Deno.test("a subscription written by Java is decoded in each version, and in later versions", () => {
  for (const hex of JAVA_SUBSCRIPTIONS) {
    assert.deepEqual(decodeSubscription(Uint8Array.fromHex(hex)), TOPICS, hex);
  }
  const later = `0009${JAVA_SUBSCRIPTIONS[3]?.slice(4)}ffff`;
  assert.deepEqual(decodeSubscription(Uint8Array.fromHex(later)), TOPICS);
});

Deno.test("subscriptions and assignments are encoded byte for byte like Java's version 0", () => {
  assert.equal(encodeSubscription(TOPICS).toString("hex"), JAVA_SUBSCRIPTIONS[0]);
  assert.equal(encodeAssignment(ASSIGNMENT).toString("hex"), `000000000002${JAVA_ASSIGNMENT}`);
});

Deno.test("an assignment written by Java is decoded in each version", () => {
  for (let version = 0; version <= 3; version++) {
    const bytes = Uint8Array.fromHex(`000${version}00000002${JAVA_ASSIGNMENT}`);
    assert.deepEqual(decodeAssignment(bytes), ASSIGNMENT);
  }
});

Deno.test("subscriptions and assignments are encoded and decoded as by kafkajs", () => {
  const { MemberMetadata, MemberAssignment } = AssignerProtocol;
  const userData = new TextEncoder().encode("user data");
  const subscription = MemberMetadata.encode({
    version: 1,
    topics: TOPICS,
    userData: Buffer.from(userData),
  });
  assert.deepEqual(decodeSubscription(subscription), TOPICS);
  assert.deepEqual(MemberMetadata.decode(encodeSubscription(TOPICS))?.topics, TOPICS);
  const assignment = MemberAssignment.encode({
    version: 0,
    assignment: { a: [0, 3], bb: [2] },
    userData: Buffer.from(userData),
  });
  assert.deepEqual(decodeAssignment(assignment), ASSIGNMENT);
  const decoded = MemberAssignment.decode(encodeAssignment(ASSIGNMENT));
  assert.deepEqual(decoded?.assignment, { a: [0, 3], bb: [2] });
});

Deno.test("an assignment without bytes is empty, and a repeated topic gets all of its partitions", () => {
  assert.deepEqual(decodeAssignment(new Uint8Array()), new Map());
  assert.deepEqual(decodeAssignment(encodeAssignment(new Map())), new Map());
  const once = "0001610000000100000000";
  const bytes = Uint8Array.fromHex(`000000000002${once}${once.slice(0, -1)}4ffffffff`);
  assert.deepEqual(decodeAssignment(bytes), new Map([["a", [0, 4]]]));
});

Deno.test("names of built-in object properties are valid topic names", () => {
  const names = ["constructor", "__proto__", "toString"];
  assert.deepEqual(decodeSubscription(encodeSubscription(names)), names);
  const assignment = new Map(names.map((name, index) => [name, [index]]));
  assert.deepEqual(decodeAssignment(encodeAssignment(assignment)), assignment);
});

Deno.test("bytes cut anywhere, or with a count that is too high, are refused", () => {
  const subscription = encodeSubscription(TOPICS);
  const assignment = encodeAssignment(ASSIGNMENT);
  const userDataBytes = 4; // ignored
  for (let end = 0; end < subscription.length - userDataBytes; end++) {
    assert.throws(() => decodeSubscription(subscription.subarray(0, end)), RangeError);
  }
  for (let end = 1; end < assignment.length - userDataBytes; end++) {
    assert.throws(() => decodeAssignment(assignment.subarray(0, end)), RangeError);
  }
  for (const hex of ["00007fffffff", "000000000001ffff", "ffff00000000"]) {
    assert.throws(() => decodeSubscription(Uint8Array.fromHex(hex)), RangeError, hex);
  }
});
