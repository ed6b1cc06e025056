/**
 * Creates commands whose help groups options by purpose and ends with examples.
 */

import { Command, CommanderError, Help } from "commander";
import { editDistance } from "../edit_distance.ts";
import { colorsWanted, printLine } from "../terminal.ts";
import { VERSION } from "../version.ts";

export interface CommandText {
  readonly name: string;
  readonly description: string;
  /** Advice for an argument that the command does not take. */
  readonly argumentAdvice?: string;
  /** Example command lines with their effects, shown below the options. */
  readonly examples?: readonly (readonly [command: string, effect?: string])[];
}

export const OPTION_GROUPS = {
  cluster: "Cluster:",
  load: "Load:",
  data: "Data:",
  payload: "Your own records, in place of orders:",
  delivery: "Delivery:",
  journal: "Journal:",
  selection: "Selection:",
  faults: "Faults:",
  output: "Output:",
} as const;

const GENERAL_GROUP = "General:";

/** Creates a command. On an error it prints nothing itself: {@link runProgram} prints the line. */
export function createCommand(
  { name, description, argumentAdvice, examples = [] }: CommandText,
): Command {
  const command: Command = new Command(name)
    .description(description)
    .optionsGroup(GENERAL_GROUP)
    .helpOption("-h, --help", "print this help")
    .version(VERSION, "--version", "print the version")
    .exitOverride((error) => {
      if (error.code !== "commander.excessArguments") throw error;
      throw new CommanderError(error.exitCode, error.code, describeExcess(command, argumentAdvice));
    })
    .showSuggestionAfterError(true)
    .configureOutput({
      outputError: () => {},
      writeOut: (text) => void printLine(text.replace(/\n$/, "")),
      getOutHasColors: colorsWanted,
      getErrHasColors: () => false,
    })
    .configureHelp({ groupItems: generalGroupLast, optionDescription: withoutFalse })
    .addHelpText("after", describeExamples(examples))
    .allowExcessArguments(false);
  return command;
}

/** Slips are a letter or two. */
const SLIP_DISTANCE_MAX = 2;

function describeExcess({ args, commands, registeredArguments }: Command, advice?: string): string {
  const excess = args[registeredArguments.length] ?? "";
  if (commands.length === 0) {
    return `unexpected argument "${excess}"${advice === undefined ? "" : `: ${advice}`}`;
  }
  const names = commands.map((each) => each.name());
  const nearest = names.find((name) => editDistance(excess, name) <= SLIP_DISTANCE_MAX);
  const hint = nearest === undefined
    ? `: expected ${names.join(", ")}, or options only`
    : `; did you mean "${nearest}"?`;
  return `there is no command "${excess}"${hint}`;
}

/** Like commander's default, but lists `--version` and `--help` last. */
const generalGroupLast: Help["groupItems"] = (unsorted, visible, groupOf) => {
  const groups = Help.prototype.groupItems(unsorted, visible, groupOf);
  const general = groups.get(GENERAL_GROUP);
  if (general !== undefined && groups.delete(GENERAL_GROUP)) groups.set(GENERAL_GROUP, general);
  return groups;
};

/** Like commander's default, but does not say of a switch that it is off unless given. */
const withoutFalse: Help["optionDescription"] = (option) =>
  Help.prototype.optionDescription(
    option.defaultValue === false
      ? Object.create(option, { defaultValue: { value: undefined } })
      : option,
  );

function describeExamples(examples: NonNullable<CommandText["examples"]>): string {
  if (examples.length === 0) return "";
  const width = Math.max(
    ...examples.map(([command, effect]) => effect === undefined ? 0 : command.length),
  );
  const lines = examples.map(([command, effect]) =>
    effect === undefined ? `  ${command}` : `  ${command.padEnd(width)}  ${effect}`
  );
  return ["", "Examples:", ...lines].join("\n");
}
