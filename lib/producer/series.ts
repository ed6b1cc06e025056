/**
 * A run second by second: a row for `--series`, and the points of the report's charts.
 *
 *     seconds,planned,generated,acknowledged,not_acknowledged,acknowledged_mb,in_flight,p50_ms,p99_ms,max_ms
 *     1.000,1000,1000,987,0,1.318642,13,2.107,9.887,14.231
 */

import { LatencyRecorder, type LatencySummary } from "../latency.ts";
import type { Accounts } from "./accounts.ts";
import { LineFile, type LineFileOptions } from "./line_file.ts";
import type { DeliveryReport } from "./planned_record.ts";
import { createReplacing } from "./replaced_file.ts";

/** The figures of one second; the counts of all rows add up to the accounts. */
export interface SecondRow {
  /** When it ended, since the start. */
  readonly seconds: number;
  /** Records that became due; undefined without a plan. */
  readonly planned?: number;
  readonly generated: number;
  readonly acknowledged: number;
  /** Failed, undelivered, or unknown. */
  readonly notAcknowledged: number;
  /** Bytes of the acknowledged values. */
  readonly acknowledgedBytes: number;
  /** Records that waited or were on their way at its end. */
  readonly inFlight: number;
  /** From the planned time, of the records that were acknowledged in it; null if none were. */
  readonly latency: LatencySummary | null;
}

export const SERIES_HEADING =
  "seconds,planned,generated,acknowledged,not_acknowledged,acknowledged_mb,in_flight," +
  "p50_ms,p99_ms,max_ms";

/** A row as CSV, without its newline. What there is no figure for is empty. */
export function seriesLine(row: SecondRow): string {
  const { latency } = row;
  return [
    row.seconds.toFixed(3),
    row.planned ?? "",
    row.generated,
    row.acknowledged,
    row.notAcknowledged,
    (row.acknowledgedBytes / 1e6).toFixed(6),
    row.inFlight,
    ...(latency === null ? ["", "", ""] : [latency.p50, latency.p99, latency.max]),
  ].join(",");
}

/** The file of `--series`. */
export class SeriesFile extends LineFile {
  /** @throws the file system's error. */
  constructor(path: string, options: Pick<LineFileOptions, "onFailure" | "onRecovery">) {
    super({ ...options, open: () => createReplacing(path), collectedCharsMax: 0 });
    this.open();
    this.addLine(SERIES_HEADING);
  }

  add(row: SecondRow): void {
    this.addLine(seriesLine(row));
  }
}

export interface SecondSeriesOptions {
  readonly accounts: Accounts;
  /** Records that wait or are on their way now. */
  readonly inFlight: () => number;
  /** In milliseconds of `performance.now()`. */
  readonly startedAtMs: number;
  readonly onRow: (row: SecondRow) => void;
}

const SECOND_MS = 1_000;
const NOTHING = { planned: 0, generated: 0, acknowledged: 0, notAcknowledged: 0, bytes: 0 };

/** Closes a row at each whole second since the start; where the process was held up, one row covers more than one. */
export class SecondSeries {
  readonly #options: SecondSeriesOptions;
  readonly #latency = new LatencyRecorder();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** At which second the open row ends. */
  #second = 0;
  /** The accounts already in earlier rows. */
  #before = NOTHING;
  #hasRows = false;

  constructor(options: SecondSeriesOptions) {
    this.#options = options;
    this.#schedule();
  }

  /** Takes an outcome, after the accounts have it. */
  add({ record, outcome }: DeliveryReport): void {
    if (outcome.kind === "acknowledged") {
      this.#latency.record(outcome.answeredAtMs - record.plannedAtMs);
    }
  }

  /** Closes the last row, which is shorter than a second; left out where nothing happened in it. */
  close(): void {
    clearTimeout(this.#timer);
    const { generated, acknowledged, notAcknowledged, planned } = this.#now();
    const before = this.#before;
    const isNew = generated > before.generated || acknowledged > before.acknowledged ||
      notAcknowledged > before.notAcknowledged || planned > before.planned;
    if (isNew || !this.#hasRows) this.#closeRow();
  }

  #schedule(): void {
    const elapsedMs = performance.now() - this.#options.startedAtMs;
    // A timer may fire a little early.
    this.#second = Math.max(this.#second, Math.floor(elapsedMs / SECOND_MS)) + 1;
    this.#timer = setTimeout(() => {
      this.#closeRow();
      this.#schedule();
    }, this.#second * SECOND_MS - elapsedMs);
  }

  #closeRow(): void {
    const { onRow, inFlight, startedAtMs } = this.#options;
    const now = this.#now();
    const before = this.#before;
    this.#before = now;
    this.#hasRows = true;
    onRow({
      seconds: (performance.now() - startedAtMs) / SECOND_MS,
      ...(Number.isFinite(now.planned) && { planned: now.planned - before.planned }),
      generated: now.generated - before.generated,
      acknowledged: now.acknowledged - before.acknowledged,
      notAcknowledged: now.notAcknowledged - before.notAcknowledged,
      acknowledgedBytes: now.bytes - before.bytes,
      inFlight: inFlight(),
      latency: this.#latency.summary(),
    });
    this.#latency.reset();
  }

  #now(): typeof NOTHING {
    const { planned, generated, acknowledged, notAcknowledged, acknowledgedBytes: bytes } =
      this.#options.accounts;
    return { planned, generated, acknowledged, notAcknowledged, bytes };
  }
}
