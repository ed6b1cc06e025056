/**
 * Collects what the page of `--report` shows.
 */

import type { KafkaConnection } from "../kafka/client.ts";
import type { Accounts } from "./accounts.ts";
import type { Conclusion } from "./conclusion.ts";
import { formatReport } from "./html_report.ts";
import type { OpenedProducer } from "./open.ts";
import type { ProducerOptions } from "./options.ts";
import { ReportPoints } from "./report_points.ts";
import type { SecondRow } from "./series.ts";

export interface Report {
  addRow(row: SecondRow): void;
  /** Returns the whole page. */
  page(conclusion: Conclusion): string;
}

export function createReport({ args, options, connection, opened, accounts }: {
  readonly args: readonly string[];
  readonly options: Pick<ProducerOptions, "topic">;
  readonly connection: KafkaConnection;
  readonly opened: Pick<OpenedProducer, "found">;
  readonly accounts: Accounts;
}): Report {
  const points = new ReportPoints();
  const startedAtMs = Date.now();
  const { topicId, partitionCount } = opened.found;
  const cluster = [
    ["brokers", connection.brokers.join(", ")],
    ["security", securityText(connection)],
    ["topic", options.topic],
    ["topic id", topicId],
    ["partitions at the start", String(partitionCount)],
  ] as const;
  return {
    addRow: (row) => points.add(row),
    page: (conclusion) =>
      formatReport({
        conclusion,
        points: points.points,
        latencies: accounts.latencies,
        cluster,
        commandLine: commandLineOf(args),
        startedAtMs,
      }),
  };
}

function securityText({ security: { tls, sasl } = {} }: KafkaConnection): string {
  const parts = [
    ...(tls === undefined ? [] : ["TLS"]),
    ...(sasl === undefined ? [] : [`SASL ${sasl.mechanism}`]),
  ];
  return parts.join(", ") || "none";
}

/** Returns the command line to paste; the values of headers, which may be secrets, are left out. */
export function commandLineOf(args: readonly string[]): string {
  const shown = args.map((arg, index) => {
    if (args[index - 1] === "--header") return withoutValue(arg);
    return arg.startsWith("--header=") ? `--header=${withoutValue(arg.slice(9))}` : arg;
  });
  return ["producer", ...shown.map(quoted)].join(" ");
}

function withoutValue(header: string): string {
  return header.replace(/=.*$/s, "=***");
}

function quoted(arg: string): string {
  return /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`;
}
