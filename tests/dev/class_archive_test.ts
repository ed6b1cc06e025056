import assert from "node:assert/strict";
import { join } from "node:path";
import { classArchive, makeClassArchive } from "../../dev/class_archive.ts";

Deno.test("makeClassArchive() makes one archive for concurrent callers, and none if recording fails", async () => {
  const jarsDir = await Deno.makeTempDir({ prefix: "orderflow-classes-" });
  try {
    await makeClassArchive(jarsDir, () => Promise.resolve());
    assert.equal(await classArchive(jarsDir), undefined);
    let recordings = 0;
    const record = async (path: string) => {
      recordings++;
      await Deno.writeTextFile(path, "");
    };
    await Promise.all([makeClassArchive(jarsDir, record), makeClassArchive(jarsDir, record)]);
    await makeClassArchive(jarsDir, record);
    assert.equal(recordings, 1);
    assert.equal(await classArchive(jarsDir), join(jarsDir, "classes.jsa"));
  } finally {
    await Deno.remove(jarsDir, { recursive: true });
  }
});
