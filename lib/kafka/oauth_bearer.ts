/**
 * Entering a cluster by a token (SASL OAUTHBEARER, RFC 7628). kafkajs has it too, and takes a broker's "no" for a
 * "yes": a rejected token is answered without an error code, by a JSON object that it does not look at.
 *
 *     we      n,,^Aauth=Bearer TOKEN^A^A
 *     broker  nothing, or {"status": "invalid_token", ...}
 *     we      ^A, in the second case, and the broker ends the exchange by an error
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { AuthenticationProviderArgs, Mechanism } from "kafkajs";

/** The cluster did not let us in by the token; no message has the token in it. */
export class TokenError extends Error {
  override readonly name = "TokenError";
  /** `TOKEN_REJECTED` by the broker, or `NO_TOKEN` came of the program's own function. */
  readonly type: "TOKEN_REJECTED" | "NO_TOKEN";
  /** For kafkajs: it would try again at once. */
  readonly retriable = false;

  /** Without a cause: kafkajs reports that in place of the error itself. */
  constructor(type: TokenError["type"], message: string) {
    super(message);
    this.type = type;
  }
}

const SEPARATOR = "\x01";
const LENGTH_BYTES = 4;

/** @param token asked for each connection, and again before the broker ends its session. */
export function oauthBearer(token: () => Promise<string>): Mechanism {
  return {
    mechanism: "oauthbearer",
    authenticationProvider: ({ saslAuthenticate }) => ({
      authenticate: async () => await authenticate(saslAuthenticate, await newToken(token)),
    }),
  };
}

async function newToken(token: () => Promise<string>): Promise<string> {
  try {
    return await token();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TokenError("NO_TOKEN", `there is no token for the connection: ${reason}`);
  }
}

async function authenticate(
  exchange: AuthenticationProviderArgs["saslAuthenticate"],
  token: string,
): Promise<void> {
  const say = (text: string) =>
    exchange<string>({
      request: { encode: () => withLength(Buffer.from(text)) },
      response: {
        decode: (answer) => answer.subarray(LENGTH_BYTES),
        parse: (answer) => answer.toString(),
      },
    });
  let refusal: string;
  try {
    const answer = await say(`n,,${SEPARATOR}auth=Bearer ${token}${SEPARATOR}${SEPARATOR}`) ?? "";
    if (answer === "") return;
    refusal = statusIn(answer);
    await say(SEPARATOR).catch(() => {}); // the broker's error, which says no more
  } catch (error) {
    if (!isRefusal(error)) throw error;
    refusal = error.message;
  }
  throw new TokenError("TOKEN_REJECTED", `the broker rejects the token (${refusal})`);
}

function withLength(bytes: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function isRefusal(error: unknown): error is Error {
  return error instanceof Error && "type" in error && error.type === "SASL_AUTHENTICATION_FAILED";
}

function statusIn(answer: string): string {
  try {
    return String(JSON.parse(answer).status);
  } catch {
    return "no reason given";
  }
}
