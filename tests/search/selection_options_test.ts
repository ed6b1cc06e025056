import assert from "node:assert/strict";
import { createCommand } from "../../lib/cli/cli.ts";
import {
  addSelectionOptions,
  queryOf,
  type SelectionOptions,
} from "../../lib/search/selection_options.ts";

function queried(...args: readonly string[]) {
  const command = addSelectionOptions(createCommand({ name: "test", description: "A test." }));
  return queryOf(undefined, command.parse([...args], { from: "user" }).opts<SelectionOptions>());
}

Deno.test("a criterion that is given twice is refused, and never replaced by the second one", () => {
  const once: readonly (readonly [option: string, a: string, b: string])[] = [
    ["--order-id", "a", "b"],
    ["--customer", "a", "b"],
    ["--key", "", "b"],
    ["--topic", "a", "b"],
    ["--partition", "0", "1"],
    ["--offset", "0:1", "0:2"],
    ["--since", "1h", "2h"],
    ["--until", "2h", "1h"],
    ["--reason", "VALIDATION", "DESERIALIZATION"],
  ];
  for (const [option, a, b] of once) {
    queried(option, a);
    assert.throws(() => queried(option, a, option, b), /it was given before/, option);
  }
});

Deno.test("--where, --header, and --logs are given several times: conditions and headers must all fit", () => {
  const { where, headers } = queried(
    ...["--where", "a == 1", "--where", 'b == "x"', "--header", "h=1", "--header", "h"],
  );
  assert.deepEqual(headers?.map(({ name, value }) => [name, value]), [["h", "1"], [
    "h",
    undefined,
  ]]);
  assert.deepEqual(where?.requiredTexts, ["x"]);
  const holds = (value: object) => where?.holds(value);
  assert.deepEqual([{ a: 1, b: "x" }, { a: 1, b: "y" }, { a: 2, b: "x" }].map(holds), [
    ...[true, false, false],
  ]);
});

Deno.test("--since and --until refuse a day that the calendar does not have", () => {
  for (const time of ["2026-02-29", "2026-02-30T00:00:00Z", "2026-04-31T08:00:00+02:00"]) {
    assert.throws(() => queried("--since", time), /expected an age .* or a time in ISO 8601/, time);
  }
  assert.equal(queried("--since", "2024-02-29").times?.min, Date.UTC(2024, 1, 29));
});

Deno.test("errors of --where name the column in characters", () => {
  assert.throws(() => queried("--where", '"😀é" == a = 1'), /column 11: expected ==, found =/);
});

Deno.test("help says the default of an option, and nothing of a switch that is off", () => {
  const help = addSelectionOptions(createCommand({ name: "test", description: "A test." }))
    .helpInformation();
  assert.match(help, /--failed +only records that failed$/m);
  assert.match(help, /\(default:\s+logs\)/);
});
