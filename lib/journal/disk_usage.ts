/**
 * The space that a journal takes.
 */

import { listSegments } from "./segments.ts";
import { denoStorage, type Storage } from "./storage.ts";

/** Returns the bytes of all segments that are there, compressed ones as they are on the disk. */
export async function journalBytes(
  directory: string,
  storage: Storage = denoStorage,
): Promise<number> {
  const { active, closed, archived } = await listSegments(storage, directory);
  let bytes = active?.bytes ?? 0;
  for (const segment of closed) bytes += segment.bytes;
  for (const path of archived.values()) bytes += (await storage.stat(path))?.bytes ?? 0;
  return bytes;
}
