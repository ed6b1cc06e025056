/**
 * Reads a tracker's `tracker.status`, and decides whether it is current.
 */

import { join } from "node:path";
import { messageOf } from "../../system_error.ts";
import {
  parseStatus,
  STATUS_BYTES_MAX,
  STATUS_NAME,
  STATUS_VALID_MS,
  type TrackerStatus,
} from "../../tracker_status.ts";

export type StatusReading =
  /** There is none: no tracker, or an earlier version. */
  | { readonly kind: "absent" }
  /** It cannot be read, or is invalid. */
  | { readonly kind: "unreadable"; readonly reason: string }
  /** Older than a running tracker leaves it: outdated. */
  | { readonly kind: "old"; readonly status: TrackerStatus; readonly writtenAtMs: number }
  | { readonly kind: "fresh"; readonly status: TrackerStatus; readonly writtenAtMs: number };

/** Allowed clock difference. */
const AHEAD_MS_MAX = 5_000;

/** Reads the status in a tracker's folder. Never throws. */
export function readStatus(folder: string, nowMs: number): StatusReading {
  try {
    const path = join(folder, STATUS_NAME);
    // A pipe would never end, and a link or device can lead anywhere.
    if (!Deno.lstatSync(path).isFile) return unreadable("it is not a file");
    const text = readBounded(path);
    return text === undefined
      ? unreadable(`it is longer than ${STATUS_BYTES_MAX} bytes`)
      : judgeStatus(text, nowMs);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { kind: "absent" };
    return unreadable(messageOf(error));
  }
}

/** The shortest time until the next look, also if a reading has expired since it was judged. */
const WAIT_MS_MIN = 10;

/** Returns for how many milliseconds a reading stays valid, unless the file is replaced. */
export function validForMs(reading: StatusReading, nowMs: number): number {
  if (reading.kind !== "fresh") return Infinity;
  return Math.max(WAIT_MS_MIN, reading.writtenAtMs + STATUS_VALID_MS + 1 - nowMs);
}

/** Decodes a status and judges its age. */
export function judgeStatus(text: string, nowMs: number): StatusReading {
  const status = parseStatus(text);
  const writtenAtMs = Date.parse(status?.timestamp ?? "");
  if (status === undefined || Number.isNaN(writtenAtMs)) return unreadable("it is no status");
  const ageMs = nowMs - writtenAtMs;
  if (ageMs < -AHEAD_MS_MAX) return unreadable("its time is ahead of this machine's clock");
  return { kind: ageMs <= STATUS_VALID_MS ? "fresh" : "old", status, writtenAtMs };
}

function unreadable(reason: string): StatusReading {
  return { kind: "unreadable", reason };
}

/** Returns undefined if the file is too long. */
function readBounded(path: string): string | undefined {
  using file = Deno.openSync(path);
  const { size } = file.statSync();
  if (size > STATUS_BYTES_MAX) return undefined;
  const bytes = new Uint8Array(size);
  let length = 0;
  while (length < size) {
    const count = file.readSync(bytes.subarray(length));
    if (count === null) break;
    length += count;
  }
  return new TextDecoder().decode(bytes.subarray(0, length));
}
