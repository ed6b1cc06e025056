/**
 * Parses `sasl.jaas.config`: one login module, its control flag, and its options, terminated by a semicolon.
 *
 *     org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password='sec;ret';
 *
 * Accepts and refuses the same texts as Kafka's `JaasConfig` and `JaasContext`.
 */

import { UsageError } from "../usage_error.ts";
import { type Token, tokenize } from "./stream_tokenizer.ts";

const CONTROL_FLAGS = ["REQUIRED", "REQUISITE", "SUFFICIENT", "OPTIONAL"];

/**
 * Returns the login module's options. Of several options with the same name, the last is used.
 *
 * @throws {UsageError} if Kafka would refuse the text. The message quotes nothing, because any part of the text can be
 * part of a password.
 */
export function parseJaasOptions(text: string): ReadonlyMap<string, string> {
  const tokens = [...tokenize(text)];
  let at = 0;
  const next = (): Token | undefined => tokens[at++];

  const module = next();
  if (module === undefined) throw refused("it is empty");
  if (!textOf(module)) throw refused("it does not start with the name of a login module");
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
        "an option has no value, or its value must be quoted: only letters, digits, and . _ - $ need no quotes",
      );
    }
    if (name !== undefined) options.set(name, value);
  }
  if (next() !== undefined) {
    throw refused("there is text after the semicolon: expected one login module");
  }
  return options;
}

function refused(reason: string): UsageError {
  return new UsageError(
    `sasl.jaas.config: ${reason}; expected MODULE required username="..." password="...";`,
  );
}

/** Returns the text of a word or quoted token; undefined for others, where Java's `sval` is null. */
function textOf(token: Token | undefined): string | undefined {
  return token?.kind === "word" || token?.kind === "quoted" ? token.text : undefined;
}

function isCharacter(token: Token | undefined, character: string): boolean {
  return token?.kind === "character" && token.text === character;
}
