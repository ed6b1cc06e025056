import assert from "node:assert/strict";
import {
  createDirectory,
  denoStorage,
  type OpenMode,
  readFile,
  readRange,
  replaceFile,
  type Storage,
  writeAll,
} from "../../lib/journal/storage.ts";
import { loggerOf } from "../../lib/log.ts";
import { MemberFile } from "../../lib/tracker/member_file.ts";
import { FaultyStorage, TestFolder } from "./fixture.ts";

const encode = (text: string) => new TextEncoder().encode(text);

Deno.test("writeAll() continues after short writes, and gives up if the disk accepts nothing", async () => {
  using folder = new TestFolder();
  const file = await denoStorage.open(folder.file("a"), "create");
  const write = file.write.bind(file);
  file.write = (bytes) => write(bytes.subarray(0, 3));
  await writeAll(file, encode("0123456789"));
  file.write = () => Promise.resolve(0);
  await assert.rejects(writeAll(file, encode("more")), /4 bytes left, but the disk accepted none/);
  file.close();
  assert.equal(Deno.readTextFileSync(folder.file("a")), "0123456789");
});

Deno.test("readRange() continues after short reads, and ends at the file's end", async () => {
  using folder = new TestFolder();
  Deno.writeTextFileSync(folder.file("a"), "0123456789");
  const file = await denoStorage.open(folder.file("a"), "read");
  const read = file.read.bind(file);
  file.read = (into) => read(into.subarray(0, 2));
  const texts: string[] = [];
  for (const [start = 0, end = 0] of [[1, 8], [0, 0], [8, 20], [15, 20]]) {
    texts.push(new TextDecoder().decode(await readRange(file, { start, end })));
  }
  file.close();
  assert.deepEqual(texts, ["1234567", "", "89", ""]);
});

Deno.test("replaceFile() leaves either the old or the new file, whichever step fails, and no file open", async () => {
  const steps: Readonly<Record<string, Partial<Storage>>> = {
    rename: { rename: () => Promise.reject(new Error("rename failed")) },
    syncData: {
      async open(path, mode) {
        const file = await denoStorage.open(path, mode);
        file.syncData = () => Promise.reject(new Error("syncData failed"));
        return file;
      },
    },
    write: {
      async open(path, mode) {
        const file = await denoStorage.open(path, mode);
        file.write = () => Promise.reject(new Error("write failed"));
        return file;
      },
    },
  };
  for (const [step, failing] of Object.entries(steps)) {
    using folder = new TestFolder();
    const path = folder.file("a");
    await replaceFile(denoStorage, path, "old, and longer");
    await assert.rejects(
      replaceFile({ ...denoStorage, ...failing }, path, "new"),
      new RegExp(`${step} failed`),
    );
    assert.equal(Deno.readTextFileSync(path), "old, and longer");
    const storage = new FaultyStorage();
    await replaceFile(storage, path, "new");
    assert.equal(storage.openCount, 0);
    assert.equal(Deno.readTextFileSync(path), "new");
    assert.deepEqual(folder.names(""), ["a"]);
    assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o600);
  }
});

Deno.test("readFile() returns undefined for a missing file, and throws any other error", async () => {
  using folder = new TestFolder();
  const path = folder.file("a");
  assert.equal(await readFile(denoStorage, path), undefined);
  Deno.writeTextFileSync(path, "text");
  assert.deepEqual(await readFile(denoStorage, path), encode("text"));
  const storage = { ...denoStorage, open: () => Promise.reject(new Error("an I/O error")) };
  await assert.rejects(readFile(storage, path), /an I\/O error/);
});

Deno.test("createDirectory() also creates parent folders, syncs each one's parent, and permits only the owner", async () => {
  using folder = new TestFolder();
  const synced: string[] = [];
  const storage: Storage = {
    ...denoStorage,
    syncDirectory(directory) {
      synced.push(directory);
      return denoStorage.syncDirectory(directory);
    },
  };
  const directory = folder.file("a/b/c");
  await createDirectory(storage, directory);
  for (const made of [directory, folder.file("a/b"), folder.file("a")]) {
    assert.equal((Deno.statSync(made).mode ?? 0) & 0o777, 0o700, made);
  }
  for (const parent of [folder.path, folder.file("a"), folder.file("a/b")]) {
    assert.ok(synced.includes(parent), parent);
  }
  // The process that created it may have died before its sync.
  synced.length = 0;
  await createDirectory(storage, directory);
  assert.deepEqual(synced, [folder.file("a/b")]);
});

Deno.test("createDirectory() throws if the parent folder cannot be synced, unless the parent is unreadable", async () => {
  using folder = new TestFolder();
  const failing = (error: Error) => ({
    ...denoStorage,
    syncDirectory: () => Promise.reject(error),
  });
  await assert.rejects(
    createDirectory(failing(new Error("an I/O error")), folder.path),
    /an I\/O error/,
  );
  const { NotCapable, PermissionDenied } = Deno.errors;
  for (const error of [new NotCapable("no"), new PermissionDenied("no")]) {
    await createDirectory(failing(error), folder.path);
  }
});

Deno.test("denoStorage opens each file as its mode requires, and creates files for the owner only", async () => {
  using folder = new TestFolder();
  const path = folder.file("a");
  const openAndWrite = async (mode: OpenMode, text: string) => {
    const file = await denoStorage.open(path, mode);
    try {
      await writeAll(file, encode(text));
    } finally {
      file.close();
    }
  };
  for (const mode of ["read", "append", "rewrite"] as const) {
    await assert.rejects(denoStorage.open(path, mode), Deno.errors.NotFound, mode);
  }
  for (const mode of ["create", "replace", "lock"] as const) {
    await openAndWrite(mode, "text");
    assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o600, mode);
    Deno.removeSync(path);
  }
  await openAndWrite("create", "0123456789");
  await assert.rejects(denoStorage.open(path, "create"), Deno.errors.AlreadyExists);
  await openAndWrite("append", "+");
  await openAndWrite("rewrite", "ab");
  await openAndWrite("lock", "A");
  assert.equal(Deno.readTextFileSync(path), "Ab23456789+");
  await assert.rejects(openAndWrite("read", "x"));
  await openAndWrite("replace", "x");
  assert.equal(Deno.readTextFileSync(path), "x");
});

Deno.test("denoStorage returns undefined for the status of a missing file, and throws if it cannot look", async () => {
  using folder = new TestFolder();
  const missing = folder.file("missing");
  assert.equal(await denoStorage.stat(missing), undefined);
  await denoStorage.remove(missing);
  Deno.writeTextFileSync(folder.file("a"), "text");
  Deno.writeTextFileSync(folder.file("b"), "text");
  const [a, b] = [
    await denoStorage.stat(folder.file("a")),
    await denoStorage.stat(folder.file("b")),
  ];
  assert.equal(a?.bytes, 4);
  assert.notEqual(a.identity, b?.identity);
  await assert.rejects(denoStorage.stat(folder.file("a/b")));
  await assert.rejects(denoStorage.remove(folder.path));
});

Deno.test("denoStorage flushes a file's data, and a directory, with the system's own calls", async () => {
  using folder = new TestFolder();
  const calls: string[] = [];
  const { sync, syncData } = Deno.FsFile.prototype;
  Deno.FsFile.prototype.sync = function () {
    calls.push("sync");
    return sync.call(this);
  };
  Deno.FsFile.prototype.syncData = function () {
    calls.push("syncData");
    return syncData.call(this);
  };
  try {
    const file = await denoStorage.open(folder.file("a"), "create");
    await file.syncData();
    file.close();
    await denoStorage.syncDirectory(folder.path);
  } finally {
    Object.assign(Deno.FsFile.prototype, { sync, syncData });
  }
  // Windows cannot open a directory.
  assert.deepEqual(calls, Deno.build.os === "windows" ? ["syncData"] : ["syncData", "sync"]);
  await assert.rejects(denoStorage.syncDirectory(folder.file("missing")), Deno.errors.NotFound);
});

Deno.test("no file that is written from its beginning is written through a symbolic link", async () => {
  using folder = new TestFolder();
  const target = folder.file("target");
  const untouched = "not ours";
  Deno.writeTextFileSync(target, untouched);
  const path = folder.file("tracker.checkpoint");
  Deno.symlinkSync(target, `${path}.new`);
  await replaceFile(denoStorage, path, "new");
  assert.equal(Deno.readTextFileSync(path), "new");
  assert.ok(Deno.lstatSync(path).isFile);

  const lock = folder.file("tracker.lock");
  Deno.symlinkSync(target, lock);
  await assert.rejects(denoStorage.open(lock, "lock"), /it is a symbolic link/);

  const member = folder.file("tracker.member");
  Deno.symlinkSync(target, member);
  new MemberFile({ logs: folder.path, groupId: "group", log: loggerOf("test") }).remember("m");
  assert.ok(Deno.lstatSync(member).isFile);
  assert.equal(Deno.readTextFileSync(target), untouched);
});

Deno.test("a lock is free as soon as its file is closed, even while child processes start", async () => {
  using folder = new TestFolder();
  const path = folder.file("lock");
  let isDone = false;
  const starting = (async () => {
    while (!isDone) {
      await Promise.all(Array.from({ length: 8 }, () => new Deno.Command("true").output()));
    }
  })();
  try {
    for (let round = 0; round < 1_000; round++) {
      const file = await denoStorage.open(path, "lock");
      assert.ok(await file.tryLock(), `round ${round}`);
      file.close();
    }
  } finally {
    isDone = true;
    await starting;
  }
});
