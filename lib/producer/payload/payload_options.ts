/**
 * The options that replace the shop's orders by the user's own records.
 */

import { Buffer } from "node:buffer";
import type { Command } from "commander";
import { InvalidArgumentError, listParser, Option, parseRecordSize } from "../../cli/cli.ts";
import type { RecordHeader } from "../../record.ts";
import { UsageError } from "../../usage_error.ts";
import { type FieldPath, parseFieldPath } from "./key_field.ts";
import type { PayloadOptions } from "./own_records.ts";

const SOURCES = ["payloadFile", "payloadModule", "recordSize"] as const;
/** Options that affect only the shop's orders. */
const OF_ORDERS = ["customers", "products", "countries", "bad", "badKinds"] as const;
const ENCODER = new TextEncoder();

/** Adds the options to the producer's command. */
export function addPayloadOptions(command: Command): Command {
  return command
    .option(
      "--payload-file <file>",
      "send the records of this file in place of orders, from its beginning again after its end",
    )
    .addOption(
      new Option(
        "--payload-delimiter <text>",
        "what ends a record of the file; \\n, \\r, \\t, \\0, \\\\, and \\xHH are one byte each",
      ).default(ENCODER.encode("\n"), "\\n").argParser(parseDelimiter),
    )
    .option(
      "--payload-module <file.ts>",
      "send what this module's nextRecord({ sequence, timeMs, random }) returns: " +
        "{ key, value, headers }; it runs with the program's permissions",
    )
    .option(
      "--record-size <size>",
      "send random bytes of this size in place of orders, such as 100, 1kB, or 64KiB",
      parseRecordSize,
    )
    .option(
      "--key-field <path>",
      "field of the file's JSON values that becomes the key, such as customer.id or items[0].sku",
      fieldPath,
    )
    .addOption(
      new Option("--header <name=value>", "header of every record; repeat it for several")
        .default([], "none").argParser(listParser(parseHeader)),
    );
}

/** @throws {UsageError} where options of different sources, or of orders and of a source, are given together. */
export function requireOneSource(command: Command): void {
  const isGiven = (name: string) => command.getOptionValueSource(name) === "cli";
  const given = SOURCES.filter(isGiven);
  const [source, other] = given;
  if (source !== undefined && other !== undefined) {
    throw new UsageError(
      `${flagOf(source)} and ${flagOf(other)} cannot be used together: ` +
        "each says what the records are",
    );
  }
  if (source !== "payloadFile") {
    for (const name of ["payloadDelimiter", "keyField"]) {
      if (isGiven(name)) throw new UsageError(`${flagOf(name)} needs --payload-file`);
    }
  }
  if (source === undefined) return;
  const ofOrders = [
    ...OF_ORDERS,
    // Only a module gets the time of its record.
    ...(source === "payloadModule" ? [] : ["startTime"]),
    ...(command.getOptionValue("key") === "none" ? [] : ["key"]),
  ].find(isGiven);
  if (ofOrders !== undefined) {
    throw new UsageError(
      `${flagOf(ofOrders)} is for orders, and cannot be used with ${flagOf(source)}`,
    );
  }
}

/** The source of a run's records: the shop, or the user's own. */
export function nounOf(options: Pick<PayloadOptions, (typeof SOURCES)[number]>): string {
  return SOURCES.every((name) => options[name] === undefined) ? "order" : "record";
}

function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

const ESCAPES: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, "0": 0, "\\": 0x5c };

function parseDelimiter(text: string): Uint8Array {
  const parts = text.match(/\\x[0-9a-fA-F]{2}|\\.|\\|[^\\]+/gs) ?? [];
  const bytes = Buffer.concat(parts.map((part) => {
    if (!part.startsWith("\\")) return ENCODER.encode(part);
    const byte = part.length === 4 ? Number(`0x${part.slice(2)}`) : ESCAPES[part.slice(1)];
    if (byte === undefined) {
      throw new InvalidArgumentError(
        `"${part}" is not an escape sequence; use \\n, \\r, \\t, \\0, \\\\, or \\xHH`,
      );
    }
    return Uint8Array.of(byte);
  }));
  if (bytes.length === 0) throw new InvalidArgumentError("expected at least one character");
  return bytes;
}

function parseHeader(text: string): RecordHeader {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError(`expected NAME=VALUE, got "${text}"`);
  return { key: text.slice(0, at), value: ENCODER.encode(text.slice(at + 1)) };
}

function fieldPath(text: string): FieldPath {
  try {
    return parseFieldPath(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new InvalidArgumentError(error.message);
  }
}
