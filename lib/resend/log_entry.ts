/**
 * Encodes and decodes the entries of a log of what was sent.
 */

import type { Static, TProperties, TSchema } from "typebox";
import { Compile, type Validator } from "typebox/compile";
import type { KafkaRecord, OutgoingRecord } from "../record.ts";
import { LOG_PARTITION } from "./resend_session.ts";

const DECODER = new TextDecoder("utf-8", { fatal: true });
const ENCODER = new TextEncoder();

/** The key of the entries that runs begin with. */
export const CLAIM_KEY = "claim";

export function logEntry(key: string, value: object): OutgoingRecord {
  return {
    partition: LOG_PARTITION,
    key: ENCODER.encode(key),
    value: ENCODER.encode(JSON.stringify(value)),
    headers: [],
  };
}

/**
 * Returns a function that decodes an entry, and throws a SyntaxError for any other record.
 *
 * @param name whose log it is, for the message: `redrive`.
 * @param done `redriven`.
 */
export function entryDecoder<Schema extends TSchema>(
  schema: Schema,
  { name, done }: { readonly name: string; readonly done: string },
): (record: KafkaRecord) => Static<Schema> {
  // Compiled at first use: most runs of the tracker read no such log.
  let entries: Validator<TProperties, Schema> | undefined;
  return ({ topic, offset, value }) => {
    let cause: unknown;
    try {
      const entry: unknown = JSON.parse(DECODER.decode(value ?? new Uint8Array()));
      entries ??= Compile(schema);
      if (entries.Check(entry)) return entry;
    } catch (error) {
      cause = error;
    }
    throw new SyntaxError(
      `topic "${topic}" has a record at offset ${offset} that is not a ${name} entry: the topic must ` +
        `hold nothing else, because records of an unreadable entry could be ${done} twice`,
      { cause },
    );
  };
}
