/**
 * A command and its help: options grouped by purpose, then examples to paste.
 *
 * @module
 */

import { Command, Help } from "commander";
import { coloursWanted, printLine } from "../terminal.ts";
import { VERSION } from "../version.ts";

/** What a command's help says besides its options. */
export interface CommandText {
  readonly name: string;
  readonly description: string;
  /** Command lines to paste, each with what it does; shown below the options. */
  readonly examples?: readonly (readonly [command: string, effect?: string])[];
}

/** Headings of the options in `--help`, by purpose; what follows `optionsGroup(...)` is listed below it. */
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

/**
 * Returns a command that prints nothing by itself on an error: {@link runProgram} turns it into a line. Only its
 * own options count, not those of the command above it.
 */
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
      getOutHasColors: coloursWanted,
      getErrHasColors: () => false,
    })
    .configureHelp({ groupItems: generalGroupLast })
    .addHelpText("after", describeExamples(examples))
    .allowExcessArguments(false);
}

/** As commander's own, but `--version` and `--help` come after the options of the command. */
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
