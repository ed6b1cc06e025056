/**
 * Graceful shutdown. The first stop signal asks the program to finish work in progress. A later one makes it exit at
 * once.
 *
 * One keypress is often delivered more than once: the terminal signals every process of the foreground group, and each
 * launcher between the terminal and the program (`deno task`, `npx`, `timeout`) forwards its signals. So stop signals
 * within a second of the first are treated as repeats of it.
 */

/** Exit code of a forced exit, as shells report it for a process that SIGINT ended. */
const FORCED_EXIT_CODE = 130;
/** Stop signals that arrive within this time of the first are repeats of it. */
const REPEAT_WINDOW_MS = 1_000;
/**
 * Time in which signals that arrived during a stall are dispatched. Without it, a repeat that was delayed by a long
 * synchronous task would count as a second request.
 */
const DISPATCH_MS = 25;

/** Signals that request a stop. SIGHUP means that the terminal was closed. */
const STOP_SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM", "SIGHUP"];

export interface Shutdown extends Disposable {
  /** Aborted by the first stop signal; its `reason` is the signal's name. */
  readonly requested: AbortSignal;
  /** Requests a graceful stop from inside the program. */
  request(reason: string): void;
  /**
   * Resolves to the result of the work, or to undefined as soon as a stop is requested. For work that may be abandoned.
   */
  orStopped<Result>(work: Promise<Result>): Promise<Result | undefined>;
  /**
   * Resolves to the result of the work, or to undefined if it fails after a stop was requested. For work that observes
   * {@link requested} itself.
   */
  unlessStopped<Result>(work: Promise<Result>): Promise<Result | undefined>;
}

/**
 * Listens for stop signals until disposed. SIGHUP never forces an exit: closing the terminal while the program finishes
 * is not a request to hurry.
 *
 * @param onFirst called once, so that the program can report what it waits for.
 * @param onSecond called just before a forced exit with code 130.
 */
export function listenForShutdown(
  { onFirst, onSecond }: { onFirst: (signal: string) => void; onSecond: (signal: string) => void },
): Shutdown {
  const controller = new AbortController();
  const { signal: requested } = controller;
  let isRepeat = false;
  let isDisposed = false;

  const later = (ms: number, action: () => void) => Deno.unrefTimer(setTimeout(action, ms));
  const request = (reason: string) => {
    if (requested.aborted) return;
    isRepeat = true;
    later(REPEAT_WINDOW_MS, () =>
      later(DISPATCH_MS, () => {
        isRepeat = false;
        if (isDisposed) stopListening();
      }));
    controller.abort(reason);
  };
  const listeners = STOP_SIGNALS.map((signal) => {
    const listener = () => {
      if (!requested.aborted) {
        request(signal);
        onFirst(signal);
      } else if (!isRepeat && signal !== "SIGHUP") {
        onSecond(signal);
        Deno.exit(FORCED_EXIT_CODE);
      }
    };
    Deno.addSignalListener(signal, listener);
    return { signal, listener };
  });
  const stopListening = () => {
    for (const { signal, listener } of listeners) Deno.removeSignalListener(signal, listener);
  };

  return {
    requested,
    request,
    orStopped: (work) => Promise.race([work, whenAborted(requested)]),
    async unlessStopped(work) {
      try {
        return await work;
      } catch (error) {
        if (requested.aborted) return undefined;
        throw error;
      }
    },
    [Symbol.dispose]() {
      isDisposed = true;
      // A repeat may still arrive. Without a listener it would kill a program that is exiting successfully.
      if (!isRepeat) stopListening();
    },
  };
}

/** Resolves when the signal is aborted. */
export function whenAborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(undefined), { once: true })
  );
}
