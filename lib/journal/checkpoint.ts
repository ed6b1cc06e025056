/**
 * The checkpoint, `tracker.checkpoint`: what the journal holds up to a byte position, so that a restart reads only
 * what was written after it.
 *
 *     {"version":2,"sha256":"<of the body's text>","body":{
 *       "journal": "<UUID>", "written": "<RFC 3339>",
 *       "segment": 3, "position": 123456,         the active segment's number, and how many of its bytes are covered
 *       "fingerprint": {"headSha256","tailSha256"},
 *       "closed": [[1, 1073741824], [2, 1073740000]],           closed segments: number, bytes
 *       "topics": [{"id","name","partitions":[
 *         {"partition":0,"intervals":[[0,1000]],"epochs":[[7,0],[9,640]],        offsets 640 to 999: epoch 9
 *          "truncated":[9,1000]}]}],      the log was truncated at 1000, in epoch 9; no line says so yet
 *       "active": {"lines","partitions":[...]}}}              the active segment's account, for its manifest
 *
 * Version 1 has no epochs. Versions of orderflow that do not know about epochs would hold superseded records; they
 * reject version 2 as unknown, and read the journal's lines instead.
 *
 * Everything a checkpoint covers is on disk: it is written after the fdatasync that covers its position. It can be
 * lost at any time, because the journal's lines say the same (`recovery.ts`).
 */

import { join } from "node:path";
import {
  type AccountData,
  type EpochPair,
  epochPairs,
  epochStarts,
  intervalsOf,
  type OffsetPair,
  offsetPairs,
} from "./account.ts";
import { HeldOffsets } from "./held_offsets.ts";
import { HeldPartition } from "./held_partition.ts";
import { decodeSealed, encodeSealed } from "./sealed_text.ts";
import type { SegmentFingerprint } from "./segments.ts";
import { readFile, replaceFile, type Storage } from "./storage.ts";

export const CHECKPOINT_NAME = "tracker.checkpoint";
const VERSION = 2;

export interface Checkpoint {
  readonly journalId: string;
  readonly segment: number;
  readonly position: number;
  readonly fingerprint: SegmentFingerprint;
  readonly closed: readonly { readonly number: number; readonly bytes: number }[];
  readonly held: HeldOffsets;
  /** The active segment's account up to the position; undefined if it was not counted. */
  readonly active: AccountData | undefined;
}

export type CheckpointRead =
  | { readonly kind: "read"; readonly checkpoint: Checkpoint }
  | { readonly kind: "missing" }
  | { readonly kind: "damaged"; readonly reason: string };

/** Encodes the checkpoint at once, so that the journal may go on while the text is written. */
export function encodeCheckpoint(checkpoint: Checkpoint, writtenAt: Date): string {
  const body = {
    journal: checkpoint.journalId,
    written: writtenAt.toISOString(),
    segment: checkpoint.segment,
    position: checkpoint.position,
    fingerprint: checkpoint.fingerprint,
    closed: checkpoint.closed.map(({ number, bytes }) => [number, bytes]),
    topics: Array.from(checkpoint.held.topics(), ({ topic, topicId, partitions }) => ({
      id: topicId,
      name: topic,
      partitions: Array.from(partitions, ([partition, { offsets, epochs, truncation }]) => ({
        partition,
        intervals: offsetPairs(offsets.intervals),
        ...(epochs.length > 0 && { epochs: epochPairs(epochs) }),
        ...(truncation !== undefined && {
          truncated: [truncation.epoch ?? null, truncation.offset],
        }),
      })),
    })),
    ...(checkpoint.active !== undefined && { active: checkpoint.active }),
  };
  return encodeSealed(body, { version: VERSION });
}

/** @throws {SyntaxError} if the text is not a whole checkpoint of a known version; the message says why. */
export function decodeCheckpoint(text: string): Checkpoint {
  return fromBody(decodeSealed(text, { version: VERSION, what: "checkpoint" }) as Body);
}

interface Body {
  readonly journal: string;
  readonly segment: number;
  readonly position: number;
  readonly fingerprint: SegmentFingerprint;
  readonly closed: readonly (readonly [number, number])[];
  readonly topics: readonly {
    readonly id: string;
    readonly name: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly intervals: readonly OffsetPair[];
      readonly epochs?: readonly EpochPair[];
      readonly truncated?: EpochPair;
    }[];
  }[];
  readonly active?: AccountData;
}

function fromBody(body: Body): Checkpoint {
  const held = new HeldOffsets();
  for (const { id, name, partitions } of body.topics) {
    for (const { partition, intervals, epochs = [], truncated } of partitions) {
      const [epoch, offset] = truncated ?? [];
      held.set(
        { topic: name, topicId: id, partition },
        HeldPartition.from(
          intervalsOf(intervals),
          epochStarts(epochs),
          offset === undefined ? undefined : { offset, epoch: epoch ?? undefined },
        ),
      );
    }
  }
  return {
    journalId: body.journal,
    segment: body.segment,
    position: body.position,
    fingerprint: body.fingerprint,
    closed: body.closed.map(([number, bytes]) => ({ number, bytes })),
    held,
    active: body.active,
  };
}

/** Replaces the checkpoint atomically: after a crash, there is either the old one or the new one. */
export async function writeCheckpoint(
  storage: Storage,
  directory: string,
  text: string,
): Promise<void> {
  await replaceFile(storage, join(directory, CHECKPOINT_NAME), text);
}

export async function readCheckpoint(
  storage: Storage,
  directory: string,
): Promise<CheckpointRead> {
  const bytes = await readFile(storage, join(directory, CHECKPOINT_NAME));
  if (bytes === undefined) return { kind: "missing" };
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return { kind: "read", checkpoint: decodeCheckpoint(text) };
  } catch (error) {
    // Whatever is wrong with it, the journal's lines have the same information.
    return { kind: "damaged", reason: error instanceof Error ? error.message : String(error) };
  }
}
