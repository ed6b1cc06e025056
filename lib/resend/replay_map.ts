/**
 * The file of `--map`: where each record was, and where it is now. Lines of JSON, a line for each range of offsets that
 * follow one another on both sides:
 *
 *     {"topic":"orders","topic_id":"<its id>","partition":2,"first_offset":1000,"last_offset":1499,
 *      "to_topic":"restored","to_topic_id":"<its id>","to_partition":2,"to_first_offset":0,"to_last_offset":499}
 */

import { systemReasonOf } from "../system_error.ts";
import { UsageError } from "../usage_error.ts";
import type { Progress } from "./replay_log.ts";

export class MapFile {
  readonly #path: string;
  readonly #temporary: string;

  private constructor(path: string) {
    this.#path = path;
    this.#temporary = `${path}.tmp`;
  }

  /** @throws {UsageError} if the file cannot be written. */
  static async open(path: string): Promise<MapFile> {
    const map = new MapFile(path);
    try {
      await Deno.writeTextFile(map.#temporary, "", { mode: 0o600 });
      if ((await Deno.stat(path).catch(() => undefined))?.isDirectory) {
        throw new Error("it is a folder");
      }
    } catch (error) {
      throw new UsageError(`--map: cannot write ${path}: ${systemReasonOf(error)}`, {
        cause: error,
      });
    }
    return map;
  }

  /** Removes the unfinished file. */
  async abandon(): Promise<void> {
    await Deno.remove(this.#temporary).catch(() => {});
  }

  async write(
    progress: Progress,
    { topic, topicId }: { readonly topic: string; readonly topicId: string | null },
  ): Promise<void> {
    const lines = Array.from(progress, ({ source, first, count, to, target }) =>
      JSON.stringify({
        topic: source.topic,
        topic_id: source.topicId,
        partition: source.partition,
        first_offset: first,
        last_offset: first + count - 1,
        to_topic: topic,
        to_topic_id: topicId,
        to_partition: to,
        to_first_offset: target,
        to_last_offset: target + count - 1,
      }) + "\n");
    await Deno.writeFile(
      this.#temporary,
      ReadableStream.from(lines).pipeThrough(
        new TextEncoderStream(),
      ),
      { mode: 0o600 },
    );
    await Deno.rename(this.#temporary, this.#path);
  }
}
