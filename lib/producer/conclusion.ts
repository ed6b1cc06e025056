/**
 * How a run ended: its figures and accounts, its thresholds, and what went wrong.
 */

import { EXIT_CROSSED, EXIT_FAILURE, EXIT_OK } from "../cli/cli.ts";
import { counted, printable } from "../text.ts";
import type { Accounts, ProducerSummary } from "./accounts.ts";
import { describeBehind } from "./display.ts";
import type { ProducerOptions } from "./options.ts";
import { KeyedRecords } from "./payload/key_field.ts";
import { nounOf } from "./payload/payload_options.ts";
import type { PayloadError, RecordSource } from "./payload/source.ts";
import { describeThreshold, type JudgedThreshold, judgeThresholds } from "./thresholds.ts";

/** The object that `producer --json` prints. */
export interface ProducerResult extends ProducerSummary {
  /** Records to which `--key-field` gave no key. Absent without the option. */
  readonly without_key?: number;
  /** The thresholds of `--fail-if`, in their order. Absent without the option. */
  readonly fail_if?: readonly JudgedThreshold[];
}

export interface Conclusion {
  readonly result: ProducerResult;
  /** `order` or `record`: what the run sent. */
  readonly noun: string;
  readonly thresholdLines: readonly string[];
  /** Reasons for a failed run, followed by the thresholds that were crossed. */
  readonly problems: readonly string[];
  /** Remarks that are no failures, but change what the figures mean. */
  readonly warnings: readonly string[];
  readonly exitCode: number;
}

export interface RunEnd {
  readonly options: ProducerOptions;
  readonly accounts: Accounts;
  readonly source?: RecordSource | undefined;
  /** A line for each file that is incomplete. */
  readonly shortfalls?: readonly string[];
  readonly undeliveredPath?: string;
  /** Why there was no next record. */
  readonly payloadError?: PayloadError | undefined;
}

export function concludeRun(
  { options, accounts, source, shortfalls = [], undeliveredPath = "", payloadError }: RunEnd,
): Conclusion {
  const summary = accounts.summary();
  const noun = nounOf(options);
  const judged = judgeThresholds(options.failIf, summary);
  const { notAcknowledged } = accounts;
  const failures = [
    ...(payloadError === undefined ? [] : [describePayloadError(payloadError, options)]),
    ...(notAcknowledged > 0
      ? [`${counted(notAcknowledged, noun)} not acknowledged: see ${undeliveredPath}`]
      : []),
    ...shortfalls,
  ];
  const isFailed = failures.length > 0 || accounts.lostWithTopic > 0;
  const crossed = judged.filter(({ verdict }) => verdict !== "ok").map(({ condition }) =>
    condition
  );
  const behind = describeBehind(accounts, noun);
  const withoutKey = source instanceof KeyedRecords ? source.withoutKeyCount : undefined;
  return {
    result: {
      ...summary,
      ...(withoutKey !== undefined && { without_key: withoutKey }),
      ...(judged.length > 0 && { fail_if: judged }),
    },
    noun,
    thresholdLines: judged.map(describeThreshold),
    problems: [
      ...failures,
      ...(crossed.length > 0 ? [`--fail-if was crossed: ${crossed.join(", ")}`] : []),
    ],
    warnings: [
      ...(behind === ""
        ? []
        : [`warning: ${behind} at the end: the figures are of a lower rate than planned`]),
      ...(withoutKey === undefined || withoutKey === 0 ? [] : [
        `warning: ${counted(withoutKey, "record")} had no key: the value is not JSON, or has no ` +
        "string, number, or boolean at --key-field",
      ]),
    ],
    // A condition such as failed>0 can be crossed only by a run that failed.
    exitCode: crossed.length > 0 ? EXIT_CROSSED : isFailed ? EXIT_FAILURE : EXIT_OK,
  };
}

function describePayloadError(
  { message }: PayloadError,
  { payloadFile, payloadModule }: ProducerOptions,
): string {
  const source = payloadFile === undefined
    ? `--payload-module "${payloadModule}"`
    : `--payload-file "${payloadFile}"`;
  return `error: the run ended early: ${source}: ${printable(message)}`;
}
