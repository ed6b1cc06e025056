/**
 * Checks whether a Kafka broker answers at an address, with the two smallest requests of Kafka's protocol. Uses no
 * client, because its retries and logs would hide the result.
 *
 * Every request and answer begins with its length in four bytes:
 *
 *     request   length:int32  api key:int16  api version:int16  correlation id:int32  client id:string  body
 *     answer    length:int32  correlation id:int32  body
 */

import { parseAddress } from "./local_port.ts";

const METADATA = 3;
const API_VERSIONS = 18;
/** In this version, the broker list follows four bytes of throttle time, and there are no tagged fields yet. */
const METADATA_VERSION = 4;
const CORRELATION_ID = 0x6f66;
const LENGTH_BYTES = 4;
/** Answers to these requests have a few hundred bytes; a longer one is not from Kafka. */
const ANSWER_BYTES_MAX = 1_000_000;

/**
 * Reports whether a Kafka broker answers at the address within `timeoutMs`. Never throws because of the network. A
 * broker that requires TLS does not answer here.
 *
 * @throws {SyntaxError} if the address is not `host:port`.
 */
export async function answersKafka(address: string, timeoutMs: number): Promise<boolean> {
  const answer = await ask(address, request(API_VERSIONS, 0, new Uint8Array(0)), timeoutMs);
  return answer !== undefined;
}

/**
 * Reports whether the broker at the address is usable: it answers, and the controller has accepted it, so its
 * metadata lists it. After a start, this happens a moment later than {@link answersKafka}. A broker that requires
 * SASL closes the connection instead of answering.
 *
 * @param nodeId the node that must be listed; other nodes of its cluster could be listed without it.
 */
export async function listsBroker(
  address: string,
  timeoutMs: number,
  nodeId?: number,
): Promise<boolean> {
  // No topics (an empty array), and none to create.
  const answer = await ask(
    address,
    request(METADATA, METADATA_VERSION, new Uint8Array([0, 0, 0, 0, 0])),
    timeoutMs,
  );
  if (answer === undefined || answer.byteLength < 8) return false;
  const nodeIds = listedNodes(answer);
  return nodeId === undefined ? nodeIds.length > 0 : nodeIds.includes(nodeId);
}

/** Each broker is encoded as node id:int32, host:string, port:int32, rack:nullable string. */
function listedNodes(answer: DataView): readonly number[] {
  const count = answer.getInt32(4);
  const nodeIds: number[] = [];
  for (let index = 0, position = 8; index < count; index++) {
    nodeIds.push(answer.getInt32(position));
    position += 4;
    position += 2 + answer.getInt16(position) + 4;
    position += 2 + Math.max(0, answer.getInt16(position));
  }
  return nodeIds;
}

export function request(apiKey: number, apiVersion: number, body: Uint8Array): Uint8Array {
  const clientId = new TextEncoder().encode("orderflow-probe");
  const length = 2 + 2 + 4 + 2 + clientId.length + body.length;
  const bytes = new Uint8Array(LENGTH_BYTES + length);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, length);
  view.setInt16(4, apiKey);
  view.setInt16(6, apiVersion);
  view.setInt32(8, CORRELATION_ID);
  view.setInt16(12, clientId.length);
  bytes.set(clientId, 14);
  bytes.set(body, 14 + clientId.length);
  return bytes;
}

/** Returns the body of the answer; undefined if nothing valid arrives in time. */
export async function ask(
  address: string,
  bytes: Uint8Array,
  timeoutMs: number,
): Promise<DataView | undefined> {
  const { hostname, port } = parseAddress(address);
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), timeoutMs);
  try {
    using connection = await Deno.connect({
      hostname: hostname.replace(/^\[|\]$/g, ""),
      port,
      signal: deadline.signal,
    });
    // Reads take no signal; closing the connection ends them.
    deadline.signal.addEventListener("abort", () => connection.close());
    await writeAll(connection, bytes);
    return await readAnswer(connection);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

async function readAnswer(connection: Deno.Conn): Promise<DataView | undefined> {
  const head = await readExactly(connection, LENGTH_BYTES + 4);
  if (head === undefined) return undefined;
  const length = head.getInt32(0);
  if (length < 4 || length > ANSWER_BYTES_MAX) return undefined;
  if (head.getInt32(LENGTH_BYTES) !== CORRELATION_ID) return undefined;
  return await readExactly(connection, length - 4);
}

async function readExactly(
  connection: Deno.Conn,
  byteCount: number,
): Promise<DataView | undefined> {
  const bytes = new Uint8Array(byteCount);
  for (let received = 0; received < byteCount;) {
    const count = await connection.read(bytes.subarray(received));
    if (count === null) return undefined;
    received += count;
  }
  return new DataView(bytes.buffer);
}
