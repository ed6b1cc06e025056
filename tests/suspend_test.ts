import assert from "node:assert/strict";
import { ownProcess } from "./own_process.ts";

/** Sends itself the signal of Ctrl-Z, twice as under a task runner, and then shows that it still runs. */
const PROGRAM = `
  import { refuseSuspensionUnderTaskRunner } from "./lib/suspend.ts";
  using _ = refuseSuspensionUnderTaskRunner();
  for (const _ of [1, 2]) Deno.kill(Deno.pid, "SIGTSTP");
  await new Promise((resolve) => Deno.addSignalListener("SIGUSR1", resolve));
  console.log("works on");
`;

Deno.test({
  name: "Ctrl-Z under a task runner does not suspend the program, which explains why once",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const env = { INIT_CWD: "/", NO_COLOR: "1" };
    const child = ownProcess(PROGRAM, { env, stdout: "piped", stderr: "piped" }).spawn();
    const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    const deadline = setTimeout(() => child.kill("SIGKILL"), 60_000);
    let said = "";
    while (!said.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) break;
      said += value;
    }
    child.kill("SIGUSR1");
    const output = await new Response(child.stdout).text();
    clearTimeout(deadline);
    await Promise.all([child.status, reader.cancel()]);
    assert.match(said, /^SIGTSTP: working on, .*Ctrl-C ends the program.*\n$/);
    assert.equal(output, "works on\n");
  },
});
