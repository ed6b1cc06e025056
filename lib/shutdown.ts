/**
 * Graceful shutdown. The first stop signal asks the program to finish what is under way. A later one makes it
 * exit at once.
 *
 * One keypress is often delivered more than once: the terminal signals every process of the foreground group,
 * and each launcher between the terminal and the program (`deno task`, `npx`, `timeout`) passes on what it gets.
 * So every stop signal within a second of the first belongs to the same request.
 *
 * @module
 */

/** Exit code of a forced exit; what shells report for a process that SIGINT ended. */
const FORCED_EXIT_CODE = 130;
/** Stop signals that arrive within this time of the first are repeats of it. */
const REPEAT_WINDOW_MS = 1_000;
/**
 * After a stall, signals that arrived during it are dispatched before this has passed. Without it, a repeat that
 * had to wait behind a long synchronous task would count as a second request.
 */
const DISPATCH_MS = 25;

/** The signals that ask for a stop. SIGHUP says that the terminal was closed. */
export const STOP_SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM", "SIGHUP"];

export interface Shutdown extends Disposable {
  /** Aborted by the first stop signal; its `reason` is the signal's name. */
  readonly requested: AbortSignal;
  /** Requests the same orderly stop from inside the program. */
  request(reason: string): void;
  /**
   * Resolves with the result of the work, or with undefined as soon as a stop is requested. For work that may be
   * abandoned by the end of the process.
   */
  orStopped<Result>(work: Promise<Result>): Promise<Result | undefined>;
  /**
   * Resolves with the result of the work, or with undefined when it fails after a stop was requested. For work that
   * watches {@link requested} itself.
   */
  unlessStopped<Result>(work: Promise<Result>): Promise<Result | undefined>;
}

/**
 * Listens for stop signals until disposed. SIGHUP never forces the exit: a terminal that is closed while the
 * program finishes is no request to hurry.
 *
 * @param onFirst called once, so that the program can say that it is stopping and what it waits for.
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
      // A repeat may still come. With no listener left it would kill a program that has ended well.
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
