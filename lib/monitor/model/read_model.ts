/**
 * The model behind all views: combines journal, log, and status file, and judges them at a given time.
 *
 * Pure: lines, file states, and the time are passed in.
 */

import type { BusinessView } from "./business.ts";
import {
  type Evidence,
  type Health,
  JUDGED_WINDOW_MS,
  judgeHealth,
  LAST_ERROR_RED_MS,
  RATE_WINDOW_MS,
} from "./health.ts";
import { judgeQuality, type Quality } from "./quality.ts";
import { type Chart, chartOf, round2, successPercent } from "./chart.ts";
import { JournalModel, type PartitionCounts, type Totals } from "./journal_model.ts";
import type { RecentEvent } from "./recent_event.ts";
import type { Found } from "./found_records.ts";
import type { LatencyStatus } from "../../tracker_status.ts";
import { LogModel, logText } from "./log_model.ts";
import type { LogLine, TrackerMetrics } from "./log_model.ts";
import type { LineSink } from "../tail/line_sink.ts";
import type { TailStatus } from "../tail/tail.ts";
import { TroubleHistory, troubleOf, type TroublePeriod } from "./trouble.ts";
import { LagHistory, type LagSeries } from "./lag_history.ts";
import type { TrafficView } from "./traffic.ts";
import { type PartitionPlace, saidBy, type SaidFigures } from "./said_figures.ts";
import type { StatusReading } from "../tail/status_reading.ts";

/** Chart windows in seconds; `all` starts with the first event. */
export const WINDOWS = { "1m": 60, "5m": 300, "15m": 900, "1h": 3600, all: undefined } as const;
export type WindowName = keyof typeof WINDOWS;
export const WINDOW_NAMES = Object.keys(WINDOWS) as readonly WindowName[];

/** Chosen so that each step of a chart is a whole number of seconds. */
const CHART_POINT_COUNTS = { "1m": 60, "5m": 50, "15m": 50, "1h": 50 } as const;

/** Everything that a view shows, at one moment. Texts from messages are raw: not safe to print. */
export interface Snapshot {
  readonly takenAtMs: number;
  readonly health: Health;
  /** Troubles since the monitor was started, oldest first. */
  readonly troubles: readonly TroublePeriod[];
  readonly quality: Quality;
  /** Totals from the journal's lines only. */
  readonly totals: Totals & { readonly successRatePercent: number | undefined };
  /** The last five minutes of event timestamps. */
  readonly window: {
    readonly windowMs: number;
    readonly received: number;
    readonly failed: number;
    readonly successRatePercent: number | undefined;
  };
  readonly messagesPerSecond: number;
  readonly messagesPerSecondOverall: number;
  readonly firstEventMs: number | undefined;
  readonly newestEventMs: number | undefined;
  readonly newestLogMs: number | undefined;
  readonly partitions: readonly PartitionView[];
  readonly business: BusinessView;
  readonly traffic: TrafficView;
  readonly errorKinds: ReadonlyMap<string, number>;
  /** By reason, from the log, as far back as its files reach. */
  readonly deadLetters: ReadonlyMap<string, number>;
  readonly lastError: LastError | undefined;
  /** The latest metrics in the tracker's log. */
  readonly metrics: TrackerMetrics | undefined;
  readonly status: StatusReading;
  /** Sum over partitions; undefined if unknown. */
  readonly lag: number | undefined;
  /** From a record's timestamp until it is flushed to disk. */
  readonly latencyMs: Partial<LatencyStatus> | undefined;
  /** When lag and latency were reported. */
  readonly saidAtMs: number | undefined;
  /** Oldest first. */
  readonly recentEvents: readonly RecentEvent[];
  /** Oldest first. */
  readonly recentFailedEvents: readonly RecentEvent[];
  readonly recentLogs: readonly LogLine[];
  readonly charts: Readonly<Record<WindowName, Chart>>;
  readonly runChart: Chart;
  readonly unreadable: {
    readonly journalLines: number;
    readonly logLines: number;
    readonly sample: string | undefined;
  };
  readonly aheadOfClockCount: number;
  /** Results of the user's search in the whole journal. */
  readonly found?: Found | undefined;
  /** All failed records, once the user has asked for them. */
  readonly foundFailed?: Found | undefined;
  /** Journal lines of records lost when the log was truncated; included in the totals. */
  readonly supersededCount: number;
  /** Records deleted from the topic before they were read. */
  readonly expiredCount: number;
  readonly files: {
    readonly journal: TailStatus | undefined;
    readonly log: TailStatus | undefined;
  };
}

export interface PartitionView extends Readonly<Omit<PartitionCounts, "lines" | "window">> {
  readonly messagesPerSecond: number;
  readonly lag: number | undefined;
  /** One value per second of the last minute; empty if it was never known. */
  readonly lagSeries: LagSeries;
}

export interface LastError {
  readonly timestampMs: number;
  /** `record` for a failed message, `tracker` for the program itself. */
  readonly of: "record" | "tracker";
  readonly text: string;
}

export class ReadModel {
  readonly journal = new JournalModel();
  readonly log = new LogModel();
  /** Latest lines not yet counted; excluded from the totals. */
  #latest: JournalModel | undefined;
  #nowMs = Infinity;
  readonly #troubles = new TroubleHistory();
  readonly #lags = new LagHistory();

  /** Sets the time; call it before lines are added. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    this.journal.tick(nowMs);
    this.log.tick(nowMs);
  }

  /**
   * Takes the journal's last lines while earlier ones are still being counted. They provide the recent records until
   * {@link forgetLatest}.
   */
  get latest(): LineSink {
    this.#latest = new JournalModel();
    this.#latest.tick(this.#nowMs);
    return this.#latest;
  }

  /** Call it once everything that existed at the start is counted. */
  forgetLatest(): void {
    this.#latest = undefined;
  }

  snapshot(
    { nowMs, journalFile, logFile, logProblem, status = { kind: "absent" } }: {
      readonly nowMs: number;
      readonly journalFile?: TailStatus;
      readonly logFile?: TailStatus;
      readonly logProblem?: string | undefined;
      readonly status?: StatusReading;
    },
  ): Snapshot {
    const journal = this.journal.counts;
    const log = this.log.counts;
    const { totals } = journal;
    const judged = journal.window.counts({ nowMs, windowMs: JUDGED_WINDOW_MS });
    const messagesPerSecond = round2(journal.window.rate({ nowMs, windowMs: RATE_WINDOW_MS }));
    const behindBytes = journalFile?.behindBytes ?? 0;
    const latest = this.#latest?.counts ?? journal;
    const newestEventMs = latest.newestEventMs ?? journal.newestEventMs;
    const newestMs = Math.max(newestEventMs ?? -Infinity, log.newestLineMs ?? -Infinity);
    const metrics = log.isOfEarlierTracker ? undefined : log.metrics;
    const said = saidBy({ status, metrics, newestMs, nowMs });
    const fileProblems = [
      ...(logProblem === undefined ? [] : [logProblem]),
      ...(status.kind === "unreadable"
        ? [`the tracker's status file cannot be read: ${status.reason}`]
        : []),
    ];
    const evidence = this.#evidence({
      ...{ nowMs, messagesPerSecond, behindBytes, newestEventMs, said, fileProblems },
    });
    this.#troubles.note(evidence.trouble, nowMs);
    return {
      takenAtMs: nowMs,
      troubles: this.#troubles.periods,
      health: judgeHealth(evidence),
      quality: judgeQuality(evidence),
      totals: { ...totals, successRatePercent: successPercent(totals) },
      window: {
        windowMs: JUDGED_WINDOW_MS,
        ...judged,
        successRatePercent: successPercent(judged),
      },
      messagesPerSecond,
      messagesPerSecondOverall: this.#overallRate(),
      firstEventMs: journal.firstEventMs,
      newestEventMs,
      newestLogMs: log.newestLineMs,
      partitions: this.#partitions(nowMs, said),
      business: journal.business.view(nowMs),
      traffic: journal.traffic.view(nowMs),
      errorKinds: new Map(journal.errorKinds),
      deadLetters: new Map(log.deadLetters),
      lastError: this.#lastError(),
      metrics: log.metrics,
      status,
      lag: said.lag,
      latencyMs: said.latencyMs,
      saidAtMs: said.saidAtMs,
      recentEvents: latest.recentEvents,
      recentFailedEvents: latest.recentFailedEvents,
      recentLogs: [...log.recent.values()],
      charts: {
        "1m": this.#chart("1m", nowMs),
        "5m": this.#chart("5m", nowMs),
        "15m": this.#chart("15m", nowMs),
        "1h": this.#chart("1h", nowMs),
        all: this.#chartOfAll(nowMs),
      },
      runChart: this.#chartOfAll(journal.newestEventMs ?? nowMs),
      unreadable: {
        journalLines: journal.unreadable,
        logLines: log.unreadable,
        sample: journal.unreadableSample,
      },
      aheadOfClockCount: journal.aheadOfClock,
      supersededCount: journal.superseded,
      expiredCount: journal.expired,
      files: { journal: journalFile, log: logFile },
    };
  }

  #evidence(
    { nowMs, newestEventMs, said, ...given }: {
      readonly nowMs: number;
      readonly messagesPerSecond: number;
      readonly behindBytes: number;
      readonly newestEventMs: number | undefined;
      readonly said: SaidFigures;
      readonly fileProblems: readonly string[];
    },
  ): Evidence {
    const journal = this.journal.counts;
    const log = this.log.counts;
    const ageMs = (timeMs: number | undefined) =>
      timeMs === undefined || Number.isNaN(timeMs) ? undefined : Math.max(0, nowMs - timeMs);
    const { lastingError } = log;
    const trackerErrorAgeMs = ageMs(lastingError?.timestampMs);
    return {
      received: journal.totals.received,
      successPercent: successPercent(journal.totals),
      window: journal.window.counts({ nowMs, windowMs: JUDGED_WINDOW_MS }),
      ...given,
      isFirstCount: this.#latest !== undefined,
      newestEventAgeMs: ageMs(newestEventMs),
      newestLogAgeMs: ageMs(log.newestLineMs),
      stoppedAgeMs: ageMs(log.stoppedAtMs),
      lastErrorAgeMs: ageMs(this.#lastError()?.timestampMs),
      trackerError: lastingError === undefined || trackerErrorAgeMs === undefined
        ? undefined
        : { ageMs: trackerErrorAgeMs, message: lastingError.message },
      trackerErrorsInWindow: log.errors.counts({ nowMs, windowMs: JUDGED_WINDOW_MS }).received,
      lag: said.lag,
      status: said.status,
      lostStatusAgeMs: said.lostStatusAgeMs,
      trouble: troubleOf({
        nowMs,
        status: said.status,
        lostStatusAgeMs: said.lostStatusAgeMs,
        failure: said.failure,
        logError: (trackerErrorAgeMs ?? Infinity) <= LAST_ERROR_RED_MS && lastingError
          ? { ...lastingError, text: logText(lastingError) }
          : undefined,
      }),
      unreadableLines: journal.unreadable + log.unreadable,
    };
  }

  #overallRate(): number {
    const { firstEventMs, newestEventMs, totals } = this.journal.counts;
    if (firstEventMs === undefined || newestEventMs === undefined) return 0;
    return round2(totals.received / Math.max(1, (newestEventMs - firstEventMs) / 1000));
  }

  #partitions(nowMs: number, said: SaidFigures): readonly PartitionView[] {
    const { partitions } = this.journal.counts;
    const topics = new Set(partitions.map(({ topic }) => topic));
    const lags = new Map(
      partitions.map((each) => [placeOf(each), said.lagOf(each, topics.size === 1)]),
    );
    this.#lags.note(nowMs, lags);
    return partitions.map(({ window, lines: _, ...partition }) => ({
      ...partition,
      messagesPerSecond: round2(window.rate({ nowMs, windowMs: RATE_WINDOW_MS })),
      lag: lags.get(placeOf(partition)),
      lagSeries: this.#lags.of(placeOf(partition)),
    }));
  }

  #lastError(): LastError | undefined {
    const { lastFailed } = this.journal.counts;
    const { lastError } = this.log.counts;
    const ofRecord: LastError | undefined = lastFailed && {
      timestampMs: lastFailed.timestampMs,
      of: "record",
      text: `${lastFailed.kind} of ${lastFailed.topic}/${lastFailed.partition} ` +
        `offset ${lastFailed.offset}: ${lastFailed.error}`,
    };
    const ofTracker: LastError | undefined = lastError && {
      timestampMs: lastError.timestampMs,
      of: "tracker",
      text: lastError.error === undefined
        ? lastError.message
        : `${lastError.message}: ${lastError.error}`,
    };
    if (ofRecord === undefined || ofTracker === undefined) return ofRecord ?? ofTracker;
    return ofTracker.timestampMs > ofRecord.timestampMs ? ofTracker : ofRecord;
  }

  #chart(name: keyof typeof CHART_POINT_COUNTS, nowMs: number): Chart {
    const windowMs = WINDOWS[name] * 1000;
    const count = CHART_POINT_COUNTS[name];
    const endMs = Math.floor(nowMs / 1000) * 1000;
    return chartOf(this.journal.counts.window.series({ nowMs, windowMs }, count), {
      startMs: endMs - windowMs,
      stepMs: windowMs / count,
      firstEventMs: this.journal.counts.firstEventMs,
      endMs,
    });
  }

  #chartOfAll(nowMs: number): Chart {
    const { steps, stepMs, startMs } = this.journal.counts.history.series(nowMs);
    return chartOf(steps, {
      startMs,
      stepMs,
      firstEventMs: this.journal.counts.firstEventMs,
      endMs: nowMs,
    });
  }
}

function placeOf({ topic, partition }: PartitionPlace): string {
  return `${topic}/${partition}`;
}
