/**
 * Serves the monitor as a page that asks for new figures once a second:
 *
 *     GET /                                           the page, its scripts, and its style
 *     GET /api/figures                                the figures of now
 *     GET /api/search?text=T, /api/search?failed      what a search has found so far; it goes on while it is asked for
 *     GET /api/record?topic=T&partition=P&offset=N    the record's journal lines
 *
 * Polling instead of event streams: a browser opens six connections to a server, and six open streams of one page, or of
 * six tabs, would block every further request.
 */

import { parseJson } from "../../json.ts";
import { type ProbeRequest, type ProbeResponse, ProbeServer } from "../../probe_server.ts";
import type { Follower } from "../follow.ts";
import { CHART_STYLE } from "../../html/chart.ts";
import { STYLE } from "../../html/page.ts";
import { formatWebFigures, formatWebSearch } from "../views/web_view.ts";
import { refusalOf, secured } from "./origin.ts";
import css from "./page.css" with { type: "text" };
import elements from "./elements.js" with { type: "text" };
import html from "./page.html" with { type: "text" };
import js from "./page.js" with { type: "text" };
import { Searches } from "./searches.ts";

const SEARCH_TEXT_LENGTH_MAX = 200;
/** A longer line is not sent to the page. */
const LINE_BYTES_MAX = 4_000_000;
const LOOKUP_TIMEOUT_MS = 4_000;
const DECODER = new TextDecoder();

export interface RecordPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

export interface MonitorServerOptions {
  readonly hostname: string;
  readonly port: number;
  /** The tracker's folder, as it was named. */
  readonly folder: string;
  readonly follower: Pick<Follower, "snapshot" | "search" | "endSearch">;
  /** Returns the journal's lines of a record, until the signal is aborted. */
  readonly linesAt: (place: RecordPlace, signal: AbortSignal) => Promise<readonly Uint8Array[]>;
  /** Called when no connections can be accepted; the port is opened again until that succeeds. */
  readonly onFailure: (error: unknown) => void;
  readonly onRecovery: () => void;
}

/** @throws {Error} where the address cannot be listened on. */
export function serveMonitor(options: MonitorServerOptions): AsyncDisposable {
  const { hostname, port, onFailure, onRecovery } = options;
  using stack = new DisposableStack();
  const searches = stack.use(new Searches(options.follower));
  const server = new ProbeServer({
    listen: () => Deno.listen({ hostname, port }),
    answer: async (request) =>
      secured(refusalOf(request, hostname) ?? await answer(request, options, searches)),
    onFailure,
    onRecovery,
  });
  const opened = stack.move();
  return {
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      opened.dispose();
    },
  };
}

async function answer(
  { path, query }: ProbeRequest,
  options: MonitorServerOptions,
  searches: Searches,
): Promise<ProbeResponse> {
  switch (path) {
    case "/":
      return content("text/html", html);
    case "/monitor.js":
      return content("text/javascript", js);
    case "/elements.js":
      return content("text/javascript", elements);
    case "/monitor.css":
      return content("text/css", STYLE + CHART_STYLE + css);
    case "/api/figures":
      return content("application/json", formatWebFigures(options.follower.snapshot(), options));
    case "/api/search":
      return search(query, searches);
    case "/api/record":
      return await record(query, options, searches);
    default:
      return { status: 404, body: { error: "there is no such page" } };
  }
}

function content(type: string, body: string): ProbeResponse {
  return { status: 200, body, headers: { "content-type": `${type}; charset=utf-8` } };
}

function search(query: URLSearchParams, searches: Searches): ProbeResponse {
  const text = query.get("text") ?? "";
  const isForFailed = query.has("failed");
  const isOne = isForFailed ? text === "" : text !== "" && text.length <= SEARCH_TEXT_LENGTH_MAX;
  if (!isOne) {
    const limit = `text=T of at most ${SEARCH_TEXT_LENGTH_MAX} characters, or failed`;
    return { status: 400, body: { error: `expected ${limit}` } };
  }
  return content(
    "application/json",
    formatWebSearch(searches.look(isForFailed ? undefined : text)),
  );
}

/** A record on the page is in memory, as a rule; of an older one, or a long one, the journal is asked. */
async function record(
  query: URLSearchParams,
  { follower, linesAt }: MonitorServerOptions,
  searches: Searches,
): Promise<ProbeResponse> {
  const place = placeIn(query);
  if (place === undefined) {
    return { status: 400, body: { error: "expected topic, partition, and offset" } };
  }
  const { recentFailedEvents, recentEvents } = follower.snapshot();
  const kept = [recentFailedEvents, recentEvents, ...searches.found.map(({ events }) => events)]
    .flat().filter((event) =>
      event.topic === place.topic && event.partition === place.partition &&
      event.offset === place.offset
    )
    .map(({ line }) => parsed(line)).find((each) => each !== undefined);
  if (kept !== undefined) return { status: 200, body: { records: [kept] } };
  const signal = AbortSignal.timeout(LOOKUP_TIMEOUT_MS);
  const lines = await linesAt(place, signal);
  if (lines.length === 0) {
    return signal.aborted
      ? { status: 503, body: { error: "not found in 4 s: ask tracker search --offset" } }
      : { status: 404, body: { error: "the journal has no such record any more" } };
  }
  const records = lines.flatMap((line) => parsed(line) ?? []);
  return records.length > 0
    ? { status: 200, body: { records } }
    : { status: 413, body: { error: "too long for the page: ask tracker search --offset" } };
}

function placeIn(query: URLSearchParams): RecordPlace | undefined {
  const [partition = NaN, offset = NaN] = ["partition", "offset"].map((name) => {
    const text = query.get(name) ?? "";
    return /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  });
  const topic = query.get("topic") ?? "";
  const isPlace = topic !== "" && Number.isSafeInteger(partition) && Number.isSafeInteger(offset);
  return isPlace ? { topic, partition, offset } : undefined;
}

/** Undefined for a line that is cut, or too long. */
function parsed(line: Uint8Array): unknown {
  return line.length > LINE_BYTES_MAX ? undefined : parseJson(DECODER.decode(line));
}
