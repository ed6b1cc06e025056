/**
 * A redrive that a test kills. It prints each step of its producer before it takes it (`12 commit`).
 * After printing the named step it stops there (`stay`), to be killed at this point, or continues (`go`), to be killed a
 * moment later.
 *
 *     deno run -A redrive_child.ts BROKER DEAD_LETTERS TOPIC STEP stay|go
 */

import { writeSync } from "node:fs";
import { TransactionalProducer } from "../../lib/kafka/transactional_producer.ts";
import { loggerOf } from "../../lib/log.ts";
import { redrive } from "../../lib/resend/redrive.ts";
import type { TransactionalSender } from "../../lib/resend/redrive_session.ts";
import { EVERYTHING } from "./redrive_site.ts";

const STDOUT = 1;
const LETTERS_MAX = 10;

if (import.meta.main) {
  const [broker = "", deadLetterTopic = "", topic = "", fatalStep = "", manner = ""] = Deno.args;
  const connection = { brokers: [broker], clientId: "orderflow-test" };
  let step = 0;
  const takeStep = async (what: string) => {
    step++;
    say(`${step} ${what}`);
    if (step !== Number(fatalStep)) return;
    say("now");
    if (manner === "stay") await new Promise((resolve) => setTimeout(resolve, 600_000));
  };
  const openSender = async (transactionalId: string): Promise<TransactionalSender> => {
    await takeStep("open");
    const sender = await TransactionalProducer.open(connection, {
      transactionalId,
      transactionTimeoutMs: 30_000,
    });
    return {
      async send(request) {
        await takeStep(`send ${request.topic}`);
        return await sender.send(request);
      },
      async commit() {
        await takeStep("commit");
        await sender.commit();
        await takeStep("committed");
      },
      [Symbol.asyncDispose]: () => sender[Symbol.asyncDispose](),
    };
  };
  const summary = await redrive({
    connection,
    deadLetterTopic,
    topic,
    selection: EVERYTHING,
    isDryRun: false,
    log: loggerOf("test"),
    lettersMax: LETTERS_MAX,
    openSender,
  });
  say(JSON.stringify(summary));
}

/** Writes synchronously, because the process may be killed right afterwards. */
function say(line: string): void {
  writeSync(STDOUT, new TextEncoder().encode(line + "\n"));
}
