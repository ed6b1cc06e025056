/**
 * Opens the dashboard. Ink is loaded here, where it is wanted, and nowhere else.
 *
 * @module
 */

import type { Follower } from "../follow.ts";
import type { DashboardOptions } from "./dashboard.ts";

/** Follows a tracker's files and shows them until the signal is aborted; leaves the terminal as it was. */
export async function openDashboard(
  options: DashboardOptions & { readonly follower: Follower },
): Promise<void> {
  // The colours are ours. Without this, a package of Ink looks for them in a dozen variables of the environment.
  Deno.env.set("FORCE_COLOR", "0");
  const { showDashboard } = await import("./dashboard.ts");
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  try {
    await Promise.all([
      options.follower.follow(signal),
      showDashboard({ ...options, signal }),
    ]);
  } finally {
    // Where reading failed, the screen is still there: its error belongs on the person's own.
    ended.abort();
  }
}
