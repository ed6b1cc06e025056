/**
 * Creates commands whose help groups options by purpose and ends with examples.
 *
 * @module
 */

import { Command, Help } from "commander";
import { colorsWanted, printLine } from "../terminal.ts";
import { VERSION } from "../version.ts";

export interface CommandText {
  readonly name: string;
  readonly description: string;
  /** Example command lines with their effects, shown below the options. */
  readonly examples?: readonly (readonly [command: string, effect?: string])[];
}

export const OPTION_GROUPS = {
  cluster: "Cluster:",
  load: "Load:",
  data: "Data:",
  delivery: "Delivery:",
  journal: "Journal:",
  selection: "Selection:",
  faults: "Faults:",
  output: "Output:",
} as const;

const GENERAL_GROUP = "General:";

/** Creates a command. On an error it prints nothing itself: {@link runProgram} prints the line. */
export function createCommand({ name, description, examples = [] }: CommandText): Command {
  return new Command(name)
    .description(description)
    .optionsGroup(GENERAL_GROUP)
    .helpOption("-h, --help", "print this help")
    .version(VERSION, "--version", "print the version")
    .exitOverride()
    .showSuggestionAfterError(true)
    .configureOutput({
      outputError: () => {},
      writeOut: (text) => void printLine(text.replace(/\n$/, "")),
      getOutHasColors: colorsWanted,
      getErrHasColors: () => false,
    })
    .configureHelp({ groupItems: generalGroupLast })
    .addHelpText("after", describeExamples(examples))
    .allowExcessArguments(false);
}

/** Like commander's default, but lists `--version` and `--help` last. */
const generalGroupLast: Help["groupItems"] = (unsorted, visible, groupOf) => {
  const groups = Help.prototype.groupItems(unsorted, visible, groupOf);
  const general = groups.get(GENERAL_GROUP);
  if (general !== undefined && groups.delete(GENERAL_GROUP)) groups.set(GENERAL_GROUP, general);
  return groups;
};

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
