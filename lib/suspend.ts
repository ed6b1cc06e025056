/**
 * Ctrl-Z at a terminal.
 *
 * `deno task` and `npm run` do not stop with the program that they run: the shell goes on waiting for them, gives no
 * prompt, and Ctrl-C reaches a program that is stopped. There the program works on and says so. Everywhere else there
 * is no listener, and the system suspends it.
 */

import { printErrorLine } from "./terminal.ts";

/** Task runners set this variable. */
const RUNNER_VARIABLE = "INIT_CWD";
/** A runner passes the terminal's signal on, so that it can come twice. */
const REPEAT_WINDOW_MS = 1_000;

/** Reports whether a task runner is between the shell and this program, as far as the program can tell. */
function hasTaskRunner(): boolean {
  const { state } = Deno.permissions.querySync({ name: "env", variable: RUNNER_VARIABLE });
  return state === "granted" && Deno.env.has(RUNNER_VARIABLE);
}

/** Ignores Ctrl-Z under a task runner, and says so, until disposed. */
export function refuseSuspensionUnderTaskRunner(): Disposable {
  if (Deno.build.os === "windows" || !hasTaskRunner()) return { [Symbol.dispose]() {} };
  let saidAtMs = -Infinity;
  const listener = () => {
    if (performance.now() - saidAtMs < REPEAT_WINDOW_MS) return;
    saidAtMs = performance.now();
    printErrorLine(
      "SIGTSTP: working on, because a task runner cannot be suspended; Ctrl-C ends the program, " +
        "and one started with deno run can be suspended",
    );
  };
  Deno.addSignalListener("SIGTSTP", listener);
  return { [Symbol.dispose]: () => Deno.removeSignalListener("SIGTSTP", listener) };
}
