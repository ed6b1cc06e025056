/**
 * The command `tracker search`: its options and its output.
 */

import {
  type Command,
  createCommand,
  EXIT_FAILURE,
  EXIT_OK,
  EXIT_USAGE,
  integerParser,
  jsonOption,
  Option,
  OPTION_GROUPS,
} from "../cli/cli.ts";
import { joined } from "../journal/segments.ts";
import { listenForShutdown } from "../shutdown.ts";
import {
  isTerminal,
  printBytes,
  printErrorLine,
  showStatus,
  standardOutputFailure,
} from "../terminal.ts";
import { counted, inBytes, printable, withThousands } from "../text.ts";
import type { Hit } from "./query.ts";
import { describeRecord } from "./readable_record.ts";
import { JournalSearch } from "./search.ts";
import { addSelectionOptions, queryOf, type SelectionOptions } from "./selection_options.ts";

export interface SearchCommandOptions extends SelectionOptions {
  readonly limit?: number;
  readonly count: boolean;
  readonly raw: boolean;
  readonly json: boolean;
}

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });
const STATUS_INTERVAL_MS = 100;
const PROGRESS_INTERVAL_MS = 5_000;

export function searchCommand(): Command {
  const command = createCommand({
    name: "search",
    description: "Finds records in a journal: in the segment being written, closed segments, and " +
      "archives. A record must match every criterion. A terminal shows readable records; a pipe " +
      "gets the journal's own lines. Exit code 0 if there is one, 1 if not, 2 if something cannot be read.",
    examples: [
      ["deno task tracker search CUST-000270 --limit 5"],
      ["deno task tracker search --failed --since 2h --count"],
      ["deno task tracker search --offset 2:1000-1999 | jq .order_full.total"],
      [`deno task tracker search --where 'total > 500 && customer_info.loyalty_level == "gold"'`],
    ],
  })
    .argument("[text]", "text in the value, key, headers, or failure; upper and lower case differ");
  return addSelectionOptions(command)
    .optionsGroup(OPTION_GROUPS.output)
    .option("--limit <n>", "stop at the n-th record (default: no limit)", integerParser({ min: 1 }))
    .addOption(
      new Option("--count", "print how many records match, and none of them")
        .default(false).conflicts("raw"),
    )
    .addOption(
      new Option("--raw", "print the values alone, each with a newline")
        .default(false).conflicts("json"),
    )
    .addOption(jsonOption());
}

/** @returns the exit code, like that of grep. */
export async function runSearch(
  text: string | undefined,
  options: SearchCommandOptions,
): Promise<number> {
  const query = queryOf(text, options);
  const startedMs = performance.now();
  using shutdown = listenForShutdown({ onFirst: () => {}, onSecond: () => {} });
  const { requested: signal } = shutdown;
  const { logs: directories, limit } = options;
  using search = await JournalSearch.open({
    ...{ directories, query, limit, signal },
    onProblem: (problem) => printErrorLine(printable(problem)),
  });
  const output = new Output(options, search);
  const showProgress = progressPrinter(search);
  output.begin();
  for await (const hits of search.run()) {
    output.add(hits);
    if (standardOutputFailure() !== undefined) break;
    showProgress();
  }
  const isLimited = search.found === limit && !search.isComplete;
  const seconds = (performance.now() - startedMs) / 1_000;
  output.end({ isLimited, isStopped: signal.aborted, seconds });
  const failure = standardOutputFailure();
  if (failure?.kind !== "closed") {
    printErrorLine(describeEnd(search, {
      ...{ isLimited, isStopped: signal.aborted, seconds },
      absentPaths: options.where?.absentPaths() ?? [],
    }));
    if (search.problems.length > 0 || signal.aborted || failure !== undefined) return EXIT_USAGE;
  }
  return search.found > 0 ? EXIT_OK : EXIT_FAILURE;
}

interface End {
  readonly isLimited: boolean;
  readonly isStopped: boolean;
  readonly seconds: number;
}

class Output {
  readonly #options: SearchCommandOptions;
  readonly #search: JournalSearch;
  #isFirst = true;

  constructor(options: SearchCommandOptions, search: JournalSearch) {
    this.#options = options;
    this.#search = search;
  }

  begin(): void {
    if (this.#options.json) print(['{"records":[']);
  }

  add(hits: readonly Hit[]): void {
    if (hits.length > 0 && !this.#options.count) print(hits.flatMap((hit) => this.#partsOf(hit)));
  }

  end({ isLimited, isStopped, seconds }: End): void {
    const { found, searchedBytes, totalBytes, skippedCount, problems } = this.#search;
    if (!this.#options.json) {
      if (this.#options.count) print([`${found}\n`]);
      return;
    }
    const summary = {
      found,
      limit_reached: isLimited,
      stopped: isStopped,
      searched_bytes: searchedBytes,
      total_bytes: totalBytes,
      skipped_segments: skippedCount,
      problems,
      seconds,
    };
    print(["],", JSON.stringify(summary).slice(1), "\n"]);
  }

  #partsOf(hit: Hit): readonly (string | Uint8Array)[] {
    if (this.#options.raw) return this.#valueOf(hit);
    if (!this.#options.json) {
      return isTerminal() ? describeRecord(hit).map((line) => `${line}\n`) : [hit.line, "\n"];
    }
    const separator = this.#isFirst ? "" : ",";
    this.#isFirst = false;
    return [separator, hit.line];
  }

  #valueOf(
    { record: { topic, partition, offset, value, omittedValue } }: Hit,
  ): readonly (string | Uint8Array)[] {
    if (omittedValue === undefined) return [value ?? "", "\n"];
    this.#search.noteProblem(
      `The value of offset ${offset} in partition ${partition} of topic "${topic}" was too large to be kept`,
    );
    return [];
  }
}

/**
 * Prints parts of the output. On a terminal, neutralizes everything except line breaks and the styles of {@link
 * describeRecord}.
 */
function print(parts: readonly (string | Uint8Array)[]): void {
  const isShown = isTerminal();
  printBytes(joined(...parts.map((part) => {
    if (typeof part === "string") return ENCODER.encode(part);
    if (!isShown) return part;
    return ENCODER.encode(DECODER.decode(part).split("\n").map(printable).join("\n"));
  })));
}

/** Returns a function that shows the search's progress on standard error. */
function progressPrinter(search: JournalSearch): () => void {
  const isStatus = Deno.stderr.isTerminal();
  let shownMs = performance.now();
  return () => {
    const nowMs = performance.now();
    if (nowMs - shownMs < (isStatus ? STATUS_INTERVAL_MS : PROGRESS_INTERVAL_MS)) return;
    shownMs = nowMs;
    const { found, searchedBytes, totalBytes } = search;
    const progress = `search: ${inBytes(searchedBytes)} of ${inBytes(totalBytes)} searched, ${
      withThousands(found)
    } found`;
    if (isStatus) showStatus(progress, Deno.stderr);
    else printErrorLine(progress);
  };
}

function describeEnd(
  search: JournalSearch,
  { isLimited, isStopped, seconds, absentPaths }: End & { readonly absentPaths: readonly string[] },
): string {
  const { found, searchedBytes, totalBytes, skippedCount, problems } = search;
  const all = searchedBytes === totalBytes ? "" : ` of ${inBytes(totalBytes)}`;
  const reason = isLimited
    ? ", where --limit ended the search; there may be more"
    : isStopped
    ? ", when the search was stopped; there may be more"
    : "";
  return [
    `${counted(found, "record")} found in ${inBytes(searchedBytes)}${all} (${
      seconds.toFixed(1)
    } s)${reason}`,
    ...(absentPaths.length > 0
      ? [`no record that was looked at has ${absentPaths.join(", ")}: a slip in --where?`]
      : []),
    ...(skippedCount > 0
      ? [`${counted(skippedCount, "segment")} cannot have any, by their manifests`]
      : []),
    ...(problems.length > 0
      ? [`${counted(problems.length, "problem")}: not everything was searched`]
      : []),
  ].join("; ");
}
