#!/usr/bin/env -S deno run --no-prompt --allow-read --allow-write=docs/schemas
/**
 * Writes the contract for other programs: JSON Schemas of an order and of the programs' files, and an AsyncAPI 3
 * document of the topics.
 *
 *     deno task schemas
 */

import { join } from "node:path";
import { runProgram } from "../lib/cli/cli.ts";
import { OrderSchema } from "../lib/order/schema.ts";
import { printLine } from "../lib/terminal.ts";
import { asyncApi } from "./schemas/asyncapi.ts";
import {
  journalLine,
  ledgerLine,
  logLine,
  manifest,
  status,
  undelivered,
} from "./schemas/files.ts";

const FOLDER = join(import.meta.dirname ?? ".", "..", "docs", "schemas");

export function schemaFiles(): Readonly<Record<string, string>> {
  const files = {
    "order.schema.json": OrderSchema,
    "journal-line.schema.json": journalLine(),
    "log-line.schema.json": logLine(),
    "ledger-line.schema.json": ledgerLine(),
    "undelivered.schema.json": undelivered(),
    "manifest.schema.json": manifest(),
    "status.schema.json": status(),
    "asyncapi.json": asyncApi(),
  };
  return Object.fromEntries(
    Object.entries(files).map(([name, content]) => [name, `${JSON.stringify(content, null, 2)}\n`]),
  );
}

async function main(): Promise<void> {
  await Deno.mkdir(FOLDER, { recursive: true });
  for (const [name, content] of Object.entries(schemaFiles())) {
    await Deno.writeTextFile(join(FOLDER, name), content);
    printLine(`docs/schemas/${name}`);
  }
}

if (import.meta.main) await runProgram(main);
