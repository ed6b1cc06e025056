// @ts-nocheck AssemblyScript
// The functions that the host calls; see ../kernel.ts.

import { crc32c, fillCrcTables } from "./crc32c.ts";
import { outputLength, position, recordsLeft, resumeAt, rowCount, writeLines } from "./lines.ts";
import {
  INPUT,
  INPUT_BYTES,
  OUTPUT,
  PLAN,
  PLAN_BYTES,
  ROW_BYTES,
  ROWS,
  TEXT_BYTES,
  TEXTS,
} from "./memory.ts";
import { areRecords } from "./records.ts";
import { followsPlan } from "./scan.ts";
import { fillShuffles, isUtf8 } from "./text.ts";

export { areRecords, crc32c, writeLines };
export { outputLength, position, recordsLeft, resumeAt, rowCount };
export { INPUT, INPUT_BYTES, OUTPUT, PLAN, PLAN_BYTES, ROW_BYTES, ROWS, TEXT_BYTES, TEXTS };

/** Returns whether the input is UTF-8 and certainly follows the plan. */
export function isSure(length: usize): bool {
  return isUtf8(INPUT, length) && followsPlan(INPUT, length);
}

fillShuffles();
fillCrcTables();
