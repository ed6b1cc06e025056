/**
 * Reads the `--config` file and reports each line that has no effect.
 *
 * A setting that is silently dropped can send records unencrypted. So each line is applied, named in a warning, or
 * refused. It is refused if it may be a security setting and `security.protocol` is not set. Messages contain no values
 * and no unknown names, because either may be part of a secret.
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
  readonly warnings: readonly string[];
}

export interface ConfigFileOptions {
  readonly path: string;
  /** True if the environment sets the security protocol. */
  readonly isProtocolNamed: boolean;
}

/** Setting names are ASCII. A name may contain escaped whitespace, but nobody uses that. */
const NAME = /^[!-~]+$/;
/** Matches a continuation line that was probably meant to be a separate setting. */
const BEGINS_SETTING = /^([a-z0-9.]+)[ \t\f]*(?:[=:]|[ \t\f])/i;

/**
 * Reads the settings in a file's text. Trims values, as Kafka does.
 *
 * @throws {UsageError} naming every refused line.
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

/** Trims a value, as Kafka's `ConfigDef` does. Our own `password` setting is not trimmed. */
export function trimmedValue(key: string, value: string): string {
  return key === "password" ? value : value.replace(/^[\0- ]+|[\0- ]+$/g, "");
}

function refusalsOf(property: Property, isProtocolClear: boolean): readonly string[] {
  const { line, key, continuations, hasMalformedEscape } = property;
  const refusals = continuations.flatMap(({ line, text }) => {
    const [, name = ""] = BEGINS_SETTING.exec(text) ?? [];
    if (!isKnown(name) || !name.includes(".")) return [];
    return [
      `line ${line} sets ${name}, but continues the line before it: remove the backslash at the end of that line`,
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
  if (key === "") return "has a value without a setting name";
  if (!NAME.test(key)) {
    return `has ${describeInvalidCharacter(key)} in a setting name${suggestionFor(key)}`;
  }
  const isForProtocol = isMeantForProtocol(key) && !isForeign(key);
  if (!isForProtocol && (isProtocolClear || !isAboutSecurity(key))) return undefined;
  if (isKnown(key) && !isForeign(key)) return undefined; // a known security setting turns security on by itself
  return isForeign(key)
    ? `has a setting of another program (${
      isKnown(key) ? key : "with a prefix"
    }), and security.protocol is not set`
    : `looks like a security setting, but Kafka has no such setting${suggestionFor(key)}`;
}

/** Names an invisible character only: a visible one may be part of a secret. */
function describeInvalidCharacter(key: string): string {
  const [invisible] = /[\p{Z}\p{C}]/u.exec(key) ?? [];
  if (invisible === undefined) return "an invalid character";
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
  return [`${counted(unapplied.length, "setting")} without effect: ${names.join(", ")}`];
}

function unknownLines(properties: readonly Property[]): readonly string[] {
  const unknown = properties.filter(({ key }) => !isKnown(key) && !isApplied(key));
  if (unknown.length === 0) return [];
  const lines = unknown.map(({ key, line }) => `line ${line}${suggestionFor(key)}`);
  return [`not a Kafka setting, ignored: ${lines.join(", ")}`];
}

function repeats(properties: readonly Property[]): readonly string[] {
  const linesByKey = Map.groupBy(
    properties.filter(({ key }) => isKnown(key)),
    ({ key }) => key,
  );
  return [...linesByKey].filter(([, { length }]) => length > 1).map(([key, all]) =>
    `${key} is set ${all.length} times (lines ${
      all.map(({ line }) => line).join(", ")
    }); the last one is used`
  );
}
