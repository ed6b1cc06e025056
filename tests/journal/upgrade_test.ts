/** Tests journals of earlier versions opened by this one, and the other way around. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { checkManifests } from "../../lib/journal/manifest_check.ts";
import { appendOf, opened, type OpenedJournal, partition, TestFolder } from "./fixture.ts";
import type { EarlierFindings } from "./earlier_build.ts";
import { appendInEpoch, epochRecordsIn, heldText } from "./truncated_log.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const FIXTURES = join(ROOT, "tests/fixtures/journal");
/** The last commit without leader epochs. */
const EARLIER_COMMIT = "3a9cbbd";
const GO_PARTITION = { topic: "orders", topicId: "", partition: 0 };

/** Copies the journal that the earlier version wrote; its `README.md` describes its contents. */
function earlierJournal(): TestFolder {
  const folder = new TestFolder();
  const fixture = join(FIXTURES, `build-${EARLIER_COMMIT}`);
  for (const { name } of Deno.readDirSync(fixture)) {
    Deno.copyFileSync(join(fixture, name), folder.file(name));
  }
  return folder;
}

function closedFiles(folder: TestFolder): Record<string, string> {
  const names = ["events.", "archive.", "manifest.", "removed."]
    .flatMap((kind) => folder.names(`tracker.${kind}`));
  return Object.fromEntries(names.map((name) => [name, sha256(folder.file(name))]));
}

function sha256(path: string): string {
  return createHash("sha256").update(Deno.readFileSync(path)).digest("hex");
}

async function assertManifestsRight(folder: TestFolder): Promise<void> {
  const { segments } = await checkManifests(folder.path);
  assert.deepEqual(segments.filter(({ ok }) => !ok), []);
}

function removeStarting(folder: TestFolder, start: string): void {
  for (const name of folder.names(start)) Deno.removeSync(folder.file(name));
}

// What remains of the earlier version's checkpoint, and what is then held: offset 12 has no line, only a manifest.
const CHECKPOINTS: Readonly<Record<string, (folder: TestFolder) => void>> = {
  "with its checkpoint": () => {},
  "with a checkpoint from before its last segments": (folder) => {
    const earlier = join(FIXTURES, `build-${EARLIER_COMMIT}.earlier_checkpoint`);
    Deno.copyFileSync(earlier, folder.checkpoint);
  },
  "without a checkpoint": (folder) => Deno.removeSync(folder.checkpoint),
  "without a checkpoint and without manifests": (folder) => {
    Deno.removeSync(folder.checkpoint);
    removeStarting(folder, "tracker.manifest.");
  },
};

for (const [title, change] of Object.entries(CHECKPOINTS)) {
  Deno.test(`a journal from before leader epochs opens ${title}: no file is changed, and nothing is forgotten`, async () => {
    using folder = earlierJournal();
    change(folder);
    const before = closedFiles(folder);
    const hasManifests = folder.names("tracker.manifest.").length > 0;
    // Without its manifest, nothing shows an offset that has no line.
    const held = hasManifests ? "0-29:e?" : "0-11:e? 13-29:e?";
    const isRebuilt = !title.startsWith("with ");
    {
      await using it = await opened(folder);
      assert.equal(it.noticesOf("rebuilt").length, isRebuilt ? 1 : 0);
      if (!isRebuilt) assert.equal(it.journal.id, "13b9c26d-4a8f-4ae0-9354-13a4d392fc83");
      assert.equal(heldText(it.journal, 0), held);
      assert.equal(heldText(it.journal, 1), "0-4:e?");
      assert.equal(it.journal.lastEpoch(partition(0)), undefined);
      assert.deepEqual([...it.noticesOf("repeated lines"), ...it.noticesOf("foreign lines")], []);
    }
    const after = closedFiles(folder);
    for (const [name, hash] of Object.entries(before)) assert.equal(after[name], hash, name);
    if (hasManifests) assert.deepEqual(after, before);
  });
}

Deno.test("a journal from before leader epochs accepts records with epochs, even in its last segment", async () => {
  using folder = earlierJournal();
  {
    await using it = await opened(folder, { rotateBytes: 1_500 });
    it.journal.establishEpoch(partition(0), { epoch: 6, start: 25 });
    it.journal.establishEpoch(partition(0), { epoch: 5, start: 0 });
    for (let offset = 30; offset < 40; offset++) {
      await it.journal.append(appendInEpoch(0, { start: offset, end: offset + 1 }, 6));
    }
    assert.equal(heldText(it.journal), "0-24:e5 25-39:e6");
  }
  await assertManifestsRight(folder);
  await using again = await opened(folder);
  assert.equal(heldText(again.journal), "0-24:e5 25-39:e6");
  await again.journal.close();
  // The earlier version's lines have no epochs, so they must be established again.
  Deno.removeSync(folder.checkpoint);
  await using rebuilt = await opened(folder);
  assert.equal(heldText(rebuilt.journal), "0-29:e? 30-39:e6");
});

Deno.test("records from before leader epochs that a truncated log replaced are superseded, with and without a checkpoint", async () => {
  // In the active segment; in a closed one; in an archive; in a removed one.
  for (const at of [29, 25, 15, 3, 0]) {
    using folder = earlierJournal();
    const held = `${at === 0 ? "" : `0-${at - 1}:e? `}${at}-${at + 4}:e9`;
    {
      await using it = await opened(folder, { rotateBytes: 1_500 });
      await it.journal.truncate(partition(0), at);
      await it.journal.append(appendInEpoch(0, { start: at, end: at + 5 }, 9));
      assert.equal(heldText(it.journal), held);
    }
    for (const start of ["", "tracker.checkpoint"]) {
      if (start !== "") removeStarting(folder, start);
      await using it = await opened(folder);
      assert.equal(heldText(it.journal), held, `truncated at ${at}`);
      assert.equal(heldText(it.journal, 1), "0-4:e?");
    }
    await assertManifestsRight(folder);
  }
});

Deno.test("a journal of the founding project's tracker opens, accepts records with epochs, and survives a lost checkpoint", async () => {
  using folder = new TestFolder();
  Deno.copyFileSync(join(ROOT, "tests/fixtures/monitor/go/tracker.events"), folder.active);
  const lines = Deno.readTextFileSync(folder.active);
  const held = (it: OpenedJournal) => it.journal.heldIntervals(GO_PARTITION);
  let before: ReturnType<typeof held>;
  {
    await using it = await opened(folder);
    before = held(it);
    assert.ok(before.length > 0);
    assert.equal(it.journal.lastEpoch(GO_PARTITION), undefined);
    await it.journal.append(appendInEpoch(0, { start: 0, end: 5 }, 2));
  }
  assert.ok(Deno.readTextFileSync(folder.active).startsWith(lines));
  Deno.removeSync(folder.checkpoint);
  await using it = await opened(folder);
  assert.deepEqual(held(it), before);
  // Its lines have no topic id, so they do not count as records of a topic that has one.
  assert.equal(heldText(it.journal), "0-4:e2");
});

/** Extracts the library of the earlier version, if the repository's history has it. */
async function earlierLibrary(folder: TestFolder): Promise<string | undefined> {
  const git = (...args: string[]) => new Deno.Command("git", { args, cwd: ROOT }).output();
  const archive = folder.file("earlier.tar");
  const paths = ["lib/tracker", "lib/record.ts"];
  const archived = await git("archive", "-o", archive, EARLIER_COMMIT, ...paths)
    .catch(() => undefined);
  if (archived?.success !== true) return undefined;
  await new Deno.Command("tar", { args: ["-xf", archive, "-C", folder.path] }).output();
  return folder.file("lib");
}

async function openedByEarlier(library: string, folder: TestFolder): Promise<EarlierFindings> {
  const program = new URL("./earlier_build.ts", import.meta.url).pathname;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-read", "--allow-write", program, library, folder.path],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test("the version before leader epochs opens a journal of this one without loss or repetition, and back", async (t) => {
  using sources = new TestFolder();
  const library = await earlierLibrary(sources);
  if (library === undefined) {
    const name = `SKIPPED: needs git, tar, and commit ${EARLIER_COMMIT}`;
    await t.step({ name, ignore: true, fn() {} });
    return;
  }
  for (const upkeep of [{}, { compress: true }, { keepMs: 1e-6 }]) {
    using folder = earlierJournal();
    {
      await using it = await opened(folder, { rotateBytes: 1_500, ...upkeep });
      for (let offset = 30; offset < 40; offset++) {
        await it.journal.append(appendInEpoch(0, { start: offset, end: offset + 1 }, 6));
      }
    }
    const found = await openedByEarlier(library, folder);
    assert.deepEqual(found.held, [[[0, 40]], [[0, 5]]]);
    assert.deepEqual(found.badSegments, []);
    // The checkpoint has a version that it does not know.
    assert.deepEqual(found.notices.filter((kind) => kind !== "sealed"), ["rebuilt"]);

    await using it = await opened(folder);
    assert.equal(it.journal.end(partition(0)), 42);
    await it.journal.append(appendInEpoch(0, { start: 42, end: 44 }, 6));
    assert.deepEqual([...it.noticesOf("repeated lines"), ...it.noticesOf("foreign lines")], []);
  }
});

Deno.test("the version before leader epochs holds superseded offsets, and this one supersedes them again", async (t) => {
  using sources = new TestFolder();
  const library = await earlierLibrary(sources);
  if (library === undefined) {
    const name = `SKIPPED: needs git, tar, and commit ${EARLIER_COMMIT}`;
    await t.step({ name, ignore: true, fn() {} });
    return;
  }
  using folder = new TestFolder();
  {
    await using it = await opened(folder);
    await it.journal.append(appendInEpoch(0, { start: 0, end: 20 }, 1));
    await it.journal.truncate(partition(0), 10);
    await it.journal.append(appendInEpoch(0, { start: 10, end: 15 }, 2));
  }
  const found = await openedByEarlier(library, folder);
  // It cannot know that offsets 15 to 19 are superseded, and would not journal their replacements.
  assert.deepEqual(found.held, [[[0, 20]], []]);
  assert.deepEqual(found.notices, ["repeated lines", "rebuilt"]);
  {
    await using it = await opened(folder);
    assert.equal(
      heldText(it.journal),
      "0-21:e?",
      "its checkpoint is trusted; the topic shows the truncation",
    );
  }
  Deno.removeSync(folder.checkpoint);
  await using it = await opened(folder);
  assert.equal(heldText(it.journal), "0-9:e1 10-14:e2 20-21:e?");
});

Deno.test("a line without an epoch among lines with one is from an earlier version that continued the journal", async () => {
  using folder = new TestFolder();
  await using it = await opened(folder);
  await it.journal.append(appendInEpoch(0, { start: 0, end: 5 }, 1));
  await it.journal.append(appendOf(0, { start: 5, end: 8 }));
  await it.journal.append(appendInEpoch(0, { start: 8, end: 9 }, 1));
  for (const name of ["tracker.lost", "tracker.checkpoint"]) {
    using copy = new TestFolder();
    copy.copyFrom(folder);
    removeStarting(copy, name);
    await using again = await opened(copy);
    assert.equal(heldText(again.journal), "0-4:e1 5-7:e? 8-8:e1");
  }
  assert.equal(epochRecordsIn([Deno.readTextFileSync(folder.active)]).length, 9);
});
