/**
 * Parses the single option of a benchmark: the amount of data to measure.
 */

import { createCommand, integerParser, Option, OPTION_GROUPS } from "../lib/cli/cli.ts";

export interface AmountOption {
  /** The benchmark's name in `deno task bench`. */
  readonly benchmark: string;
  readonly description: string;
  /** The option's name without `--`. */
  readonly option: string;
  readonly meaning: string;
  readonly initial: number;
  readonly min?: number;
}

/** @throws {CommanderError} if the arguments contain anything else */
export function amountOf(
  args: string[],
  { benchmark, description, option, meaning, initial, min = 1 }: AmountOption,
): number {
  const options = createCommand({
    name: `bench ${benchmark}`,
    description,
    examples: [[`deno task bench ${benchmark} --${option} ${initial / 10}`]],
  })
    .optionsGroup(OPTION_GROUPS.load)
    .addOption(
      new Option(`--${option} <n>`, meaning).default(initial).argParser(integerParser({ min })),
    )
    .parse(args, { from: "user" }).opts<Record<string, number>>();
  return options[option] ?? initial;
}
