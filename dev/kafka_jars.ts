/**
 * Kafka's jars, fetched through Maven when first needed.
 *
 *     .kafka/jars/
 *       1f0c52a9b3d4/        one complete set, named after the pom.xml that lists it
 *       fetching-4711-.../   a download in progress, or an interrupted one
 *
 * A folder gets its name only when it is complete, so an existing name needs no further check.
 */

import { join } from "node:path";
import { spawnBoundToUs } from "./child_process.ts";

const POM_PATH = join(import.meta.dirname ?? ".", "pom.xml");
const JARS_ROOT = join(import.meta.dirname ?? ".", "..", ".kafka", "jars");
/** Number of Maven downloads into an empty local repository, including Maven's plugin: 360 when counted. */
const DOWNLOAD_COUNT_ABOUT = 360;
/** The next download deletes an interrupted one after this time, when it cannot be running anymore. */
const ABANDONED_AFTER_MS = 60 * 60 * 1000;

export interface KafkaJarsOptions {
  /** Called with a progress message, about twenty times at most; never if the jars exist. */
  readonly onProgress?: ((message: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Where the sets of jars are kept. Default: `.kafka/jars` of the project. */
  readonly root?: string | undefined;
  /** The list of jars, that of the broker and its tools by default. */
  readonly pom?: string | undefined;
}

/**
 * Returns the folder with the jars of the broker and of Kafka's command-line tools. Takes a few milliseconds if they
 * exist; otherwise Maven on PATH fetches them (45 MB, some seconds to a minute).
 *
 * @throws {Error} if Maven fails, with Maven's first error line.
 */
export async function kafkaJars(
  { onProgress, signal, root = JARS_ROOT, pom = POM_PATH }: KafkaJarsOptions = {},
): Promise<string> {
  const folder = join(root, await hashOf(pom));
  if (await exists(folder)) return folder;

  await Deno.mkdir(root, { recursive: true });
  await deleteAbandoned(root);
  const download = join(root, `fetching-${Deno.pid}-${crypto.randomUUID()}`);
  try {
    await runMaven({ pom, download, onProgress: onProgress ?? (() => {}), signal });
    await keep(download, folder);
  } finally {
    await deleteIfThere(download);
  }
  return folder;
}

async function runMaven({ pom, download, onProgress, signal }: {
  readonly pom: string;
  readonly download: string;
  readonly onProgress: (message: string) => void;
  readonly signal: AbortSignal | undefined;
}): Promise<void> {
  onProgress("fetching Kafka's jars through Maven, once");
  const maven = spawnBoundToUs("mvn", {
    args: [
      "--batch-mode",
      "--file",
      pom,
      "dependency:copy-dependencies",
      `-DoutputDirectory=${download}`,
      "-DincludeScope=runtime",
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
    ...(signal && { signal }),
  });

  let downloadCount = 0;
  let firstError: string | undefined;
  let unfinished = "";
  for await (const text of maven.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (unfinished + text).split("\n");
    unfinished = lines.pop() ?? "";
    for (const line of lines) {
      if (line.includes("[ERROR]")) firstError ??= line.replace(/^.*\[ERROR\]\s*/, "");
      if (!line.includes("Downloaded from")) continue;
      downloadCount++;
      if (downloadCount % 20 === 0) {
        const total = Math.max(DOWNLOAD_COUNT_ABOUT, downloadCount);
        onProgress(
          `fetching Kafka's jars through Maven, once: ${downloadCount} of about ${total} files`,
        );
      }
    }
  }

  const status = await maven.status;
  signal?.throwIfAborted();
  if (!status.success) {
    throw new Error(
      `Cannot fetch Kafka's jars: Maven ended with exit code ${status.code}: "${
        firstError ?? "no reason given"
      }"`,
    );
  }
}

/** Gives the complete download its name. If another process was faster, uses that one's. */
async function keep(download: string, folder: string): Promise<void> {
  try {
    await Deno.rename(download, folder);
  } catch (error) {
    if (!await exists(folder)) throw error;
  }
}

async function deleteAbandoned(root: string): Promise<void> {
  for await (const entry of Deno.readDir(root)) {
    if (!entry.name.startsWith("fetching-")) continue;
    const path = join(root, entry.name);
    const changedMs = (await Deno.stat(path)).mtime?.getTime() ?? 0;
    if (Date.now() - changedMs > ABANDONED_AFTER_MS) await deleteIfThere(path);
  }
}

async function hashOf(path: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
  return new Uint8Array(digest).toHex().slice(0, 12);
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function deleteIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
