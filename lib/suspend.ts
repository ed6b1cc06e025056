/**
 * Ctrl-Z at a terminal.
 *
 * `deno task` does not stop with the program: it catches the terminal's signal and passes it on, so that it comes
 * twice. A program that stopped would leave the terminal to a runner that gives no prompt and cannot end it with
 * Ctrl-C. There the program works on and says so; everywhere else it stops as usual.
 *
 * @module
 */

import { printErrorLine } from "./terminal.ts";

/** The runner passes the signal on within this time. */
const PASSED_ON_MS = 100;

const NOT_UNDER_TASK = 'Ctrl-Z cannot suspend a program that "deno task" runs: it works on. ' +
  'Ctrl-C ends it; "deno run" starts one that can be suspended';

export interface SuspendActions {
  readonly stop: () => void;
  readonly say: (text: string) => void;
  /** Calls the action after the time; what it returns cancels that. */
  readonly later: (action: () => void, ms: number) => () => void;
}

/** Returns what to do at each SIGTSTP: stop, unless it comes twice. */
export function suspendHandler({ stop, say, later }: SuspendActions): () => void {
  let cancel: (() => void) | undefined;
  return () => {
    if (cancel !== undefined) {
      cancel();
      cancel = undefined;
      return say(NOT_UNDER_TASK);
    }
    cancel = later(() => {
      cancel = undefined;
      stop();
    }, PASSED_ON_MS);
  };
}

/** Handles Ctrl-Z until disposed. Without a terminal as standard input, the system handles SIGTSTP. */
export function suspendAtTerminal(): Disposable {
  if (Deno.build.os === "windows" || !Deno.stdin.isTerminal()) return { [Symbol.dispose]() {} };
  const handler = suspendHandler({
    stop() {
      printErrorLine(`stopped; "fg" in the shell or "kill -CONT ${Deno.pid}" continues`);
      // As the runtime does on SIGTSTP without a listener.
      Deno.kill(Deno.pid, "SIGSTOP");
    },
    say: printErrorLine,
    later(action, ms) {
      const timer = setTimeout(action, ms);
      return () => clearTimeout(timer);
    },
  });
  Deno.addSignalListener("SIGTSTP", handler);
  return { [Symbol.dispose]: () => Deno.removeSignalListener("SIGTSTP", handler) };
}
