/**
 * The value of `sasl.jaas.config`: one login module, its control flag, and its options, ended by a semicolon.
 *
 *     org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password='sec;ret';
 *
 * Accepts and refuses what Kafka's `JaasConfig` and `JaasContext` do.
 *
 * @module
 */

import { UsageError } from "../usage_error.ts";
import { type Token, tokenize } from "./stream_tokenizer.ts";

const CONTROL_FLAGS = ["REQUIRED", "REQUISITE", "SUFFICIENT", "OPTIONAL"];

/**
 * Returns the login module's options. The last of several options of one name counts.
 *
 * @throws {UsageError} where Kafka refuses the text. The message has nothing of the text in it, because all of it can
 * be a part of a password.
 */
export function parseJaasOptions(text: string): ReadonlyMap<string, string> {
  const tokens = [...tokenize(text)];
  let at = 0;
  const next = (): Token | undefined => tokens[at++];

  const module = next();
  if (module === undefined) throw refused("it is empty");
  if (!textOf(module)) throw refused("it does not begin with the name of a login module");
  const flag = textOf(next());
  if (flag === undefined || !CONTROL_FLAGS.includes(flag.toUpperCase())) {
    throw refused('the word after the login module\'s name must be "required"');
  }
  const options = new Map<string, string>();
  for (let token = next(); !isCharacter(token, ";"); token = next()) {
    if (token === undefined) throw refused("it does not end with a semicolon");
    const name = textOf(token);
    const value = isCharacter(next(), "=") ? textOf(next()) : undefined;
    if (value === undefined) {
      throw refused(
        "an option has no value, or its value must be in quotes: only letters, digits, and . _ - $ may stand without",
      );
    }
    if (name !== undefined) options.set(name, value);
  }
  if (next() !== undefined) {
    throw refused("something follows the semicolon: expected one login module");
  }
  return options;
}

function refused(reason: string): UsageError {
  return new UsageError(
    `sasl.jaas.config: ${reason}; expected MODULE required username="..." password="...";`,
  );
}

/** A word or a quoted text; undefined for anything else, as Java's `sval` is null. */
function textOf(token: Token | undefined): string | undefined {
  return token?.kind === "word" || token?.kind === "quoted" ? token.text : undefined;
}

function isCharacter(token: Token | undefined, character: string): boolean {
  return token?.kind === "character" && token.text === character;
}
