import assert from "node:assert/strict";
import { join } from "node:path";
import { liveBroker } from "../live_broker.ts";
import { countJournalLines, createSite, readJournal, readTopic, until } from "../site.ts";

await liveBroker();

const EXAMPLES = join(import.meta.dirname ?? ".", "..", "..", "docs", "examples");

/** Returns the command with the permissions in the example's first line. */
function exampleCommand(
  name: string,
  { args = [], ...options }: {
    args?: readonly string[];
    cwd?: string;
    env?: Record<string, string>;
  },
): Deno.Command {
  const path = join(EXAMPLES, name);
  const [shebang = ""] = Deno.readTextFileSync(path).split("\n");
  const permissions = shebang.split(" ").filter((word) => word.startsWith("--"));
  return new Deno.Command(Deno.execPath(), {
    args: ["run", ...permissions, path, ...args],
    stdout: "piped",
    stderr: "piped",
    ...options,
  });
}

async function outputOf(command: Deno.Command): Promise<string> {
  const { code, stdout, stderr } = await command.output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("the examples work: orders are sent, handled behind a tracker, and summed up from its journal", async () => {
  await using site = await createSite();
  const env = {
    KAFKA_BROKER: site.broker,
    KAFKA_TOPIC: site.topic,
    KAFKA_CONSUMER_GROUP: site.group,
  };
  const cwd = site.folder;
  assert.equal(
    await outputOf(exampleCommand("send_orders.ts", { env })),
    "100 of 100 orders stored\n",
  );
  assert.equal((await readTopic(site)).length, 100);

  const handling = exampleCommand("handle_orders.ts", { cwd, env }).spawn();
  const logs = join(cwd, "logs", "revenue");
  await until("all orders are journaled", () => countJournalLines(logs) === 100);
  handling.kill("SIGINT");
  const { code, stdout } = await handling.output();
  assert.equal(code, 0);
  assert.match(new TextDecoder().decode(stdout), /EUR/);

  const cents = (await readJournal(join(cwd, "logs", "revenue")))
    .map((line) => JSON.parse(String(line["raw_message"])).total)
    .reduce((sum, total) => sum + Math.round(total * 100), 0);
  assert.equal(
    await outputOf(exampleCommand("revenue_from_journal.ts", { args: [logs] })),
    `${(cents / 100).toFixed(2)} EUR\n`,
  );
});
