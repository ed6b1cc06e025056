/**
 * A nemesis: one kind of fault. Each has a file in `nemeses/`, named after it, with a default export. Adding one is adding
 * a file.
 *
 * @module
 */

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { NemesisNeeds } from "./schedule.ts";
import type { Stage } from "./stage.ts";

export interface Nemesis extends NemesisNeeds {
  readonly does: string;
  /** What may be seen of it; everything else is a violation. */
  readonly visible: string;
  /** Strikes, and repairs what it broke: at the latest when `stage.healing` is aborted. */
  strike(stage: Stage, dice: Dice): Promise<void>;
}

export type Dice = readonly [first: number, second: number, third: number, fourth: number];

/** Loads all nemeses, by name. */
export async function loadNemeses(): Promise<ReadonlyMap<string, Nemesis>> {
  const folder = join(import.meta.dirname ?? ".", "nemeses");
  const files = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  return new Map(
    await Promise.all(files.map(async (file) => {
      const { href } = pathToFileURL(join(folder, file));
      const { default: nemesis }: { default: Nemesis } = await import(href);
      return [file.replace(/\.ts$/, "").replaceAll("_", "-"), nemesis] as const;
    })),
  );
}
