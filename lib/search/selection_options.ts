/**
 * The options that select records of a journal, shared by several commands.
 */

import { InvalidArgumentError } from "commander";
import {
  choicesParser,
  type Command,
  integerParser,
  listParser,
  Option,
  OPTION_GROUPS,
  parseAge,
  parseTime,
  parseTopic,
} from "../cli/cli.ts";
import { UsageError } from "../usage_error.ts";
import {
  type HeaderCriterion,
  JOURNALED_REASONS,
  type JournaledReason,
  type Query,
} from "./query.ts";
import { bothOf, parseWhere, type WhereCondition } from "./where.ts";

export interface SelectionOptions {
  readonly logs: readonly string[];
  readonly orderId?: string;
  readonly customer?: string;
  readonly key?: string;
  readonly header?: readonly HeaderCriterion[];
  readonly topic?: string;
  readonly partition?: number;
  readonly offset?: Place;
  readonly since?: number;
  readonly until?: number;
  readonly failed: boolean;
  readonly reason?: readonly JournaledReason[];
  readonly where?: WhereCondition;
}

interface Place {
  readonly partition: number;
  /** First and last offset, both included. */
  readonly offsets: { readonly from: number; readonly to: number };
}

const PARTITION_MAX = 2 ** 31 - 1;

export function addSelectionOptions(command: Command): Command {
  const repeatable = <Value>(
    flags: string,
    description: string,
    parse: (text: string, previous: Value) => Value,
  ) => new Option(flags, description).argParser(parse);
  // The last of several would silently replace the others.
  const parsed = (flags: string, description: string, parse: (text: string) => unknown = String) =>
    new Option(flags, description).argParser<unknown>((text, previous) => {
      if (previous === undefined) return parse(text);
      throw new InvalidArgumentError("it was given before, and records must match every criterion");
    });
  return command
    .optionsGroup(OPTION_GROUPS.journal)
    .addOption(
      repeatable("--logs <folder>", "folder of a journal; repeat for several", listParser(String))
        .default(["logs"], "logs"),
    )
    .optionsGroup(OPTION_GROUPS.selection)
    .addOption(parsed("--order-id <id>", "only the order with this order_id"))
    .addOption(parsed("--customer <id>", "only orders of the customer with this customer_id"))
    .addOption(
      parsed("--key <text>", "only records with this key; a key that is not UTF-8 as base64"),
    )
    .addOption(
      repeatable(
        "--header <name[=value]>",
        "only records with this header; repeat for several, which must all be there",
        listParser(parseHeader),
      ),
    )
    .addOption(parsed("--topic <name>", "only records of this topic (default: all)", parseTopic))
    .addOption(
      parsed(
        "--partition <number>",
        "only records of this partition (default: all)",
        integerParser({ min: 0, max: PARTITION_MAX }),
      ),
    )
    .addOption(
      parsed(
        "--offset <p:from[-to]>",
        "only this offset of partition p, or a range with both ends: 2:100, 2:100-199, 2:100-",
        parsePlace,
      ),
    )
    .addOption(
      parsed(
        "--since <time>",
        "only records with this timestamp or a later one: ISO 8601, or an age such as 2h",
        parseTimeOrAge,
      ),
    )
    .addOption(
      parsed(
        "--until <time>",
        "only records with this timestamp or an earlier one",
        parseTimeOrAge,
      ),
    )
    .option("--failed", "only records that failed", false)
    .addOption(
      parsed(
        "--reason <reason,...>",
        `only records that failed for this reason: ${JOURNALED_REASONS.join(" or ")}`,
        (text) => choicesParser(JOURNALED_REASONS)(text.toUpperCase()),
      ),
    )
    .addOption(
      repeatable(
        "--where <expression>",
        "only records whose JSON value fits; repeat for several, which must all fit, such as " +
          `'total > 100 && items[*].item_id == "ITEM-7"'`,
        parseCondition,
      ),
    );
}

/** @throws {UsageError} if options contradict each other. */
export function queryOf(text: string | undefined, options: SelectionOptions): Query {
  const { partition, offset, since, until, header, reason, ...rest } = options;
  if (partition !== undefined && offset !== undefined && partition !== offset.partition) {
    throw new UsageError(`--offset names partition ${offset.partition}, --partition ${partition}`);
  }
  if (since !== undefined && until !== undefined && since > until) {
    throw new UsageError("--since is later than --until");
  }
  const hasTimes = since !== undefined || until !== undefined;
  return {
    ...rest,
    text,
    headers: header,
    reasons: reason,
    partition: offset?.partition ?? partition,
    offsets: offset?.offsets,
    times: hasTimes ? { min: since ?? -Infinity, max: until ?? Infinity } : undefined,
  };
}

function parseHeader(text: string): HeaderCriterion {
  const [, name = "", value] = /^([^=]*)(?:=(.*))?$/s.exec(text) ?? [];
  if (name === "") throw new InvalidArgumentError("expected NAME or NAME=VALUE");
  return { name, value };
}

function parsePlace(text: string): Place {
  const [, partition, first, dash, last] = /^(\d+):(\d+)(-?)(\d*)$/.exec(text) ?? [];
  const from = Number(first);
  const to = dash !== "-" ? from : last === "" ? Infinity : Number(last);
  const isPlace = Number(partition) <= PARTITION_MAX && Number.isSafeInteger(from) && from <= to &&
    (dash === "-" || last === "");
  if (!isPlace) {
    throw new InvalidArgumentError("expected P:OFFSET, P:FROM-TO, or P:FROM-, such as 2:100-199");
  }
  return { partition: Number(partition), offsets: { from, to } };
}

function parseTimeOrAge(text: string): number {
  if (/^\d+(\.\d+)?[smhdw]$/.test(text)) return Date.now() - parseAge(text);
  try {
    return parseTime(text);
  } catch {
    throw new InvalidArgumentError(
      "expected an age such as 2h or 30d, or a time in ISO 8601 with its zone, " +
        "such as 2026-01-31T08:00:00Z, or a date (UTC)",
    );
  }
}

function parseCondition(text: string, previous?: WhereCondition): WhereCondition {
  try {
    const condition = parseWhere(text);
    return previous === undefined ? condition : bothOf(previous, condition);
  } catch (error) {
    if (error instanceof SyntaxError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}
