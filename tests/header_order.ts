/**
 * Has kafkajs keep the order of a record's headers, where a test reads a topic by other means than the product's.
 *
 * @module
 */

import type { IHeaders } from "kafkajs";
import decoderModule from "kafkajs/src/protocol/decoder.js";

interface DecodedHeader {
  readonly key: string;
  readonly value: Uint8Array | null;
}

interface Decoder {
  /** Used for headers alone. */
  readVarIntArray(reader: (decoder: unknown) => DecodedHeader): DecodedHeader[];
}

/**
 * Has kafkajs's consumers name each header by its place, as `0:key`, until it is disposed of. By itself kafkajs makes
 * an object of them, in which their order is lost where a key repeats or looks like a number.
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

/** The headers of a message that was read under {@link headersByPlace}, in their order. */
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
