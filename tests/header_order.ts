/**
 * Keeps the order of a record's headers when a test reads a topic with kafkajs's own consumer.
 */

import type { IHeaders } from "kafkajs";
import decoderModule from "kafkajs/src/protocol/decoder.js";

interface DecodedHeader {
  readonly key: string;
  readonly value: Uint8Array | null;
}

interface Decoder {
  /** Reads only headers here. */
  readVarIntArray(reader: (decoder: unknown) => DecodedHeader): DecodedHeader[];
}

/**
 * Makes kafkajs's consumers name each header by its position, as `0:key`, until it is disposed of. Otherwise kafkajs
 * returns an object, which loses the order of repeated or numeric keys.
 */
export function headersByPlace(): Disposable {
  const { prototype } = decoderModule as unknown as { prototype: Decoder };
  const { readVarIntArray } = prototype;
  prototype.readVarIntArray = function (this: Decoder, reader) {
    return readVarIntArray.call(this, reader)
      .map(({ key, value }, place) => ({ key: `${place}:${key}`, value }));
  };
  return {
    [Symbol.dispose]() {
      prototype.readVarIntArray = readVarIntArray;
    },
  };
}

/** Returns the headers of a message that was read under {@link headersByPlace}, in order. */
export function orderedHeaders(
  headers: IHeaders = {},
): readonly (readonly [key: string, value: Uint8Array | null])[] {
  return Object.entries(headers).map(([name, value]) => {
    const key = name.slice(name.indexOf(":") + 1);
    if (value === undefined || typeof value === "string" || Array.isArray(value)) {
      throw new TypeError(`expected the bytes of one header at ${name}`);
    }
    return [key, value];
  });
}
