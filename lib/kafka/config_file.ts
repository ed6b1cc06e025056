/**
 * The file of `--config`, and what it says of each line that has no effect.
 *
 * A setting that is dropped in silence can send records in plain text. So every line is either applied, named in a
 * warning, or refused: refused where it may have been meant for security and nothing else says which security is
 * wanted. No message has a value in it, nor a name that is no setting's: either may be a part of a secret.
 *
 * @module
 */

import { counted } from "../text.ts";
import { type Property, readProperties } from "./properties.ts";
import {
  isAboutSecurity,
  isApplied,
  isForeign,
  isKnown,
  isMeantForProtocol,
  meantSetting,
} from "./setting_names.ts";
import { UsageError } from "../usage_error.ts";

export interface ConfigFile {
  readonly settings: ReadonlyMap<string, string>;
  /** One sentence for each thing that a person should know of. */
  readonly warnings: readonly string[];
}

export interface ConfigFileOptions {
  readonly path: string;
  /** Whether the environment names the security protocol. */
  readonly isProtocolNamed: boolean;
}

/** A name is ASCII; a blank can be escaped, and nobody does. */
const NAME = /^[!-~]+$/;
/** Continuation lines that begin so were meant to be settings of their own. */
const BEGINS_SETTING = /^([a-z0-9.]+)[ \t\f]*(?:[=:]|[ \t\f])/i;

/**
 * Reads the settings of a file's text. Blanks around a value are left out, as Kafka does it.
 *
 * @throws {UsageError} naming every line that is refused.
 */
export function readConfigFile(
  text: string,
  { path, isProtocolNamed }: ConfigFileOptions,
): ConfigFile {
  const properties = readProperties(text);
  const settings = new Map(properties.map(({ key, value }) => [key, trimmedValue(key, value)]));
  const isProtocolClear = isProtocolNamed || settings.has("security.protocol");
  const refusals = properties.flatMap((property) => refusalsOf(property, isProtocolClear));
  if (refusals.length > 0) throw new UsageError(`${path}: ${refusals.join("; ")}`);
  const warnings = [
    ...unappliedNames(properties),
    ...unknownLines(properties),
    ...repeats(properties),
  ];
  return { settings, warnings: warnings.map((warning) => `${path}: ${warning}`) };
}

/** Kafka's `ConfigDef` trims every value. A password of our own naming is taken as it is. */
export function trimmedValue(key: string, value: string): string {
  return key === "password" ? value : value.replace(/^[\0- ]+|[\0- ]+$/g, "");
}

function refusalsOf(property: Property, isProtocolClear: boolean): readonly string[] {
  const { line, key, continuations, hasMalformedEscape } = property;
  const refusals = continuations.flatMap(({ line, text }) => {
    const [, name = ""] = BEGINS_SETTING.exec(text) ?? [];
    if (!isKnown(name) || !name.includes(".")) return [];
    return [
      `line ${line} sets ${name}, but belongs to the line before it: remove the backslash at that line's end`,
    ];
  });
  if (hasMalformedEscape) {
    refusals.push(
      `line ${line} has a \\u without four hexadecimal digits; write \\\\ for a backslash`,
    );
  }
  const reason = isApplied(key) ? undefined : refusalOfName(key, isProtocolClear);
  if (reason !== undefined) refusals.push(`line ${line} ${reason}`);
  return refusals;
}

function refusalOfName(key: string, isProtocolClear: boolean): string | undefined {
  if (key === "") return "has no name before its value";
  if (!NAME.test(key)) {
    return `has ${describeStranger(key)} in the name of a setting${suggestionFor(key)}`;
  }
  const isForProtocol = isMeantForProtocol(key) && !isForeign(key);
  if (!isForProtocol && (isProtocolClear || !isAboutSecurity(key))) return undefined;
  if (isKnown(key) && !isForeign(key)) return undefined; // decides that there is security, like all of its kind
  return isForeign(key)
    ? `has a setting of another program (${
      isKnown(key) ? key : "with a prefix"
    }), and security.protocol is not set`
    : `seems to be meant for security, and is no setting of Kafka${suggestionFor(key)}`;
}

/** An invisible character is named. Another one may be a part of a secret. */
function describeStranger(key: string): string {
  const [invisible] = /[\p{Z}\p{C}]/u.exec(key) ?? [];
  if (invisible === undefined) return "a character that no name has";
  const code = (invisible.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  return `the invisible character U+${code}`;
}

function suggestionFor(key: string): string {
  const meant = meantSetting(key);
  return meant === undefined ? "" : `: did you mean ${meant}?`;
}

function unappliedNames(properties: readonly Property[]): readonly string[] {
  const unapplied = properties.filter(({ key }) => isKnown(key) && !isApplied(key));
  if (unapplied.length === 0) return [];
  const names = unapplied.map(({ key, line }) => `${key} (line ${line})`);
  return [`${counted(unapplied.length, "setting")} without effect here: ${names.join(", ")}`];
}

function unknownLines(properties: readonly Property[]): readonly string[] {
  const unknown = properties.filter(({ key }) => !isKnown(key) && !isApplied(key));
  if (unknown.length === 0) return [];
  const lines = unknown.map(({ key, line }) => `line ${line}${suggestionFor(key)}`);
  return [`no setting of Kafka, and without effect: ${lines.join(", ")}`];
}

function repeats(properties: readonly Property[]): readonly string[] {
  const linesByKey = Map.groupBy(
    properties.filter(({ key }) => isKnown(key)),
    ({ key }) => key,
  );
  return [...linesByKey].filter(([, { length }]) => length > 1).map(([key, all]) =>
    `${key} is set ${all.length} times (lines ${
      all.map(({ line }) => line).join(", ")
    }); the last counts`
  );
}
