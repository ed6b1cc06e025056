import assert from "node:assert/strict";
import { FolderLock, JournalLockedError, LOCK_NAME } from "../../lib/journal/folder_lock.ts";
import { denoStorage } from "../../lib/journal/storage.ts";
import { FaultyStorage, TestFolder } from "./fixture.ts";

async function holderPidOf(folder: TestFolder): Promise<number | undefined> {
  try {
    (await FolderLock.take(denoStorage, folder.path)).release();
  } catch (error) {
    assert.ok(error instanceof JournalLockedError, String(error));
    return error.holderPid;
  }
  assert.fail("the folder is not locked");
}

Deno.test("FolderLock.take() refuses a locked folder, names the holder, and leaves no file open", async () => {
  using folder = new TestFolder();
  const storage = new FaultyStorage();
  const lock = await FolderLock.take(storage, folder.path);
  await assert.rejects(FolderLock.take(storage, folder.path), {
    name: "JournalLockedError",
    holderPid: Deno.pid,
    path: folder.path,
  });
  assert.equal(storage.openCount, 1);
  lock.release();
  assert.equal(storage.openCount, 0);
  (await FolderLock.take(storage, folder.path)).release();
});

Deno.test("FolderLock.take() replaces the previous holder's process id, whatever its length", async () => {
  using folder = new TestFolder();
  Deno.writeTextFileSync(folder.file(LOCK_NAME), "123456789012345678\n");
  const lock = await FolderLock.take(denoStorage, folder.path);
  assert.equal(Deno.readTextFileSync(folder.file(LOCK_NAME)), `${Deno.pid}\n`);
  assert.equal(await holderPidOf(folder), Deno.pid);
  lock.release();
});

Deno.test("FolderLock.take() names no holder if the lock file contains none", async () => {
  using folder = new TestFolder();
  const lock = await FolderLock.take(denoStorage, folder.path);
  for (const text of ["", "12", "-12\n", "a process\n", "12\n13\n", "9".repeat(100)]) {
    Deno.writeTextFileSync(folder.file(LOCK_NAME), text);
    assert.equal(await holderPidOf(folder), undefined, text);
  }
  lock.release();
});

Deno.test("FolderLock.isInPlace() is false once the lock file is gone or replaced", async () => {
  using folder = new TestFolder();
  const path = folder.file(LOCK_NAME);
  const lock = await FolderLock.take(denoStorage, folder.path);
  assert.equal(await lock.isInPlace(), true);
  Deno.renameSync(path, folder.file("moved"));
  assert.equal(await lock.isInPlace(), false);
  Deno.copyFileSync(folder.file("moved"), path);
  assert.equal(await lock.isInPlace(), false);
  Deno.renameSync(folder.file("moved"), path);
  assert.equal(await lock.isInPlace(), true);
  lock.release();
});
