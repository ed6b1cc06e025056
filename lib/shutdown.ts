/**
 * Graceful shutdown: the first SIGINT or SIGTERM asks the program to finish what it has in hand, the
 * second leaves at once.
 *
 * @module
 */

/** Exit code after a forced exit, as shells report a death by SIGINT. */
const FORCED_EXIT_CODE = 130;

export interface Shutdown extends Disposable {
  /** Aborted at the first signal; its `reason` is the signal's name. */
  readonly requested: AbortSignal;
  /** Asks for the same orderly stop from inside the program. */
  request(reason: string): void;
}

/**
 * Listens for signals until disposed.
 *
 * @param onFirst called once, so that the program can say that it is stopping and what it waits for.
 * @param onSecond called just before the process leaves with code 130.
 */
export function listenForShutdown(
  { onFirst, onSecond }: { onFirst: (signal: string) => void; onSecond: (signal: string) => void },
): Shutdown {
  const controller = new AbortController();
  const signals: Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT", "SIGBREAK"]
    : ["SIGINT", "SIGTERM"];

  const listeners = signals.map((signal) => {
    const listener = () => {
      if (controller.signal.aborted) {
        onSecond(signal);
        Deno.exit(FORCED_EXIT_CODE);
      }
      controller.abort(signal);
      onFirst(signal);
    };
    Deno.addSignalListener(signal, listener);
    return { signal, listener };
  });

  return {
    requested: controller.signal,
    request: (reason) => controller.abort(reason),
    [Symbol.dispose]() {
      for (const { signal, listener } of listeners) Deno.removeSignalListener(signal, listener);
    },
  };
}
