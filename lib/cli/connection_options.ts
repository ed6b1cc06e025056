/**
 * Builds a connection from the command line, the environment, and a Java client's .properties file. The command line
 * overrides the environment, and the environment overrides the file.
 */

import { type ClusterOptions, parseBrokers } from "./cli.ts";
import { messageOf, systemReasonOf } from "../system_error.ts";
import { printErrorLine } from "../terminal.ts";
import { printable } from "../text.ts";
import type { KafkaConnection } from "../kafka/client.ts";
import { type ConfigFile, readConfigFile } from "../kafka/config_file.ts";
import { decodeText } from "../kafka/properties.ts";
import { SECURITY_VARIABLES, securityOf } from "../kafka/security.ts";
import { UsageError } from "../usage_error.ts";

const NO_FILE: ConfigFile = { settings: new Map(), warnings: [] };
const DEFAULT_BROKER = "localhost:9092";

/**
 * Returns the connection.
 *
 * @throws {UsageError} if a file cannot be read or a setting cannot be used; the message contains no secret.
 */
export function connectionOf(
  { broker, config }: ClusterOptions,
  { clientId }: { readonly clientId: string },
): KafkaConnection {
  const environment = propertiesOfEnvironment();
  const isProtocolNamed = environment.has("security.protocol");
  const { settings, warnings } = config === undefined
    ? NO_FILE
    : readConfigFile(readText(config), { path: config, isProtocolNamed });
  const properties = new Map([...settings, ...environment]);
  refuseRunOnValues(properties);
  if (config !== undefined && broker === undefined && !properties.has("bootstrap.servers")) {
    throw new UsageError(
      [
        `${config} sets no broker: add bootstrap.servers=host:port to it, ` +
        "or name one with --broker or KAFKA_BROKER",
        ...warnings.map((warning) => warning.replace(`${config}: `, "")),
      ].join("; "),
    );
  }
  if (warnings.length > 0) printErrorLine(`WARN ${printable(warnings.join("; "))}`);
  const security = securityOf(properties, readText);
  return {
    brokers: broker ?? bootstrapServers(properties),
    clientId: properties.get("client.id") ?? clientId,
    ...(security !== undefined && { security }),
  };
}

/** Accepts a protocol before an address (`PLAINTEXT://host:port`) and ignores it, like Kafka's tools. */
function bootstrapServers(properties: ReadonlyMap<string, string>): readonly string[] {
  const text = properties.get("bootstrap.servers") ?? DEFAULT_BROKER;
  try {
    return parseBrokers(text.replace(/(^|,)\s*[\w%.-]*:\/\//g, "$1"));
  } catch (error) {
    const reason = messageOf(error);
    throw new UsageError(`bootstrap.servers: ${reason}`, { cause: error });
  }
}

/** Settings whose value may be printed, or sent to the brokers as a name. */
const PLAIN_SETTING = /^(bootstrap\.servers|client\.id|security\.protocol|sasl\.mechanism)$/;
const PLAIN_SETTING_ENDINGS = /\.(location|type|algorithm)$/;

/**
 * Refuses values that contain the next setting. A line that ends with a backslash continues on the next one, which may
 * contain the password, so the value must not be printed.
 */
function refuseRunOnValues(properties: ReadonlyMap<string, string>): void {
  for (const [name, value] of properties) {
    const isPlain = PLAIN_SETTING.test(name) || PLAIN_SETTING_ENDINGS.test(name);
    if (!isPlain || !/[=;"]|password/i.test(value)) continue;
    throw new UsageError(
      `the value of ${name} runs on into another setting: ` +
        "look for a backslash at the end of its line, or a missing line break",
    );
  }
}

function propertiesOfEnvironment(): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(SECURITY_VARIABLES).flatMap(([variable, name]) => {
      const value = Deno.env.get(variable);
      return value === undefined || value === "" ? [] : [[name, trimmed(name, value)]];
    }),
  );
}

/** Removes surrounding whitespace, except from a password, which may contain it. */
function trimmed(name: string, value: string): string {
  return name === "password" ? value : value.trim();
}

function readText(path: string): string {
  try {
    return decodeText(Deno.readFileSync(path));
  } catch (error) {
    const reason = error instanceof Deno.errors.NotCapable
      ? "this program may read below the working directory only; " +
        "move the file to config, or run the program with --allow-read"
      : systemReasonOf(error);
    throw new UsageError(`cannot read ${path}: ${reason}`, { cause: error });
  }
}
