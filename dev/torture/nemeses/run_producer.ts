import type { Nemesis } from "../nemesis.ts";
import { pick } from "../schedule.ts";
import { TOPICS } from "../stage.ts";

export default {
  does: "runs the producer with some invalid orders; it is killed, stopped, or ends by itself",
  visible: "generated = acknowledged + failed + undelivered + unknown, unless it was killed",
  async strike(stage, [rate, bad, end, how]) {
    const cwd = await Deno.makeTempDir({ dir: stage.folder, prefix: "producer-" });
    const run = { cwd, incarnation: stage.facts.incarnations.main, sentAtMs: performance.now() };
    const program = await stage.run("producer", [
      ...["--topic", TOPICS.main, "--json", "--duration", "8s", "--ledger", "logs/ledger.jsonl"],
      ...["--rate", String(20 + Math.floor(rate * 300)), "--bad", String(1 + Math.floor(bad * 20))],
      ...["--compression", how < 0.3 ? "gzip" : "none"],
    ], cwd);
    const signal = pick(["SIGKILL", "SIGTERM", "none"] as const, end);
    stage.tell(`producer started; signal: ${signal}`);
    await stage.wait(1_000 + how * 5_000);
    if (signal !== "none") program.signal(signal);
    const code = await program.exitCode;
    stage.tell(`producer ended with code ${code}`);
    stage.producers.push({ ...run, summary: program.output.stdout });
  },
} satisfies Nemesis;
