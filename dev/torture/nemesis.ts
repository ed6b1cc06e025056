/**
 * A nemesis: one kind of fault. Each has a file in `nemeses/`, named after it, with a default export. To add one, add
 * a file.
 */

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { NemesisNeeds } from "./schedule.ts";
import type { Stage } from "./stage.ts";

export interface Nemesis extends NemesisNeeds {
  readonly does: string;
  /** The allowed visible effects; everything else is a violation. */
  readonly visible: string;
  /** Strikes, and repairs the damage: at the latest when `stage.healing` is aborted. */
  strike(stage: Stage, dice: Dice): Promise<void>;
}

export type Dice = readonly [first: number, second: number, third: number, fourth: number];

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
