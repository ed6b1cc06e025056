/**
 * Authenticates with a token (SASL OAUTHBEARER, RFC 7628). kafkajs's own implementation takes a rejection for success:
 * a broker answers a rejected token without an error code, with a JSON object that kafkajs ignores.
 *
 *     client  n,,^Aauth=Bearer TOKEN^A^A
 *     broker  nothing, or {"status": "invalid_token", ...}
 *     client  ^A, in the second case; the broker ends the exchange with an error
 */

import { Buffer } from "node:buffer";
import type { AuthenticationProviderArgs, Mechanism } from "kafkajs";

/** Thrown if authentication with a token fails. The message never contains the token. */
class TokenError extends Error {
  override readonly name = "TokenError";
  /** `TOKEN_REJECTED` by the broker; `NO_TOKEN` if the program's token function failed. */
  readonly type: "TOKEN_REJECTED" | "NO_TOKEN";
  /** Read by kafkajs, which would otherwise retry at once. */
  readonly retriable = false;

  /** Sets no cause: kafkajs would report the cause instead of this error. */
  constructor(type: TokenError["type"], message: string) {
    super(message);
    this.type = type;
  }
}

const SEPARATOR = "\x01";
const LENGTH_BYTES = 4;

/** @param token called for each connection, and again before the broker ends the session. */
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
    throw new TokenError("NO_TOKEN", `cannot get a token for the connection: ${reason}`);
  }
}

async function authenticate(
  exchange: AuthenticationProviderArgs["saslAuthenticate"],
  token: string,
): Promise<void> {
  const send = (text: string) =>
    exchange<string>({
      request: { encode: () => withLength(Buffer.from(text)) },
      response: {
        decode: (answer) => answer.subarray(LENGTH_BYTES),
        parse: (answer) => answer.toString(),
      },
    });
  let refusal: string;
  try {
    const answer = await send(`n,,${SEPARATOR}auth=Bearer ${token}${SEPARATOR}${SEPARATOR}`) ?? "";
    if (answer === "") return;
    refusal = statusIn(answer);
    await send(SEPARATOR).catch(() => {}); // the broker's error has no more information
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
