import assert from "node:assert/strict";
import { requireUnix } from "../../dev/unix_only.ts";

Deno.test("features that cannot work on Windows are refused only there, in one line", () => {
  assert.throws(
    () => requireUnix("the demo", "windows"),
    /^Error: the demo needs signals, which Windows does not have: use WSL.*$/,
  );
  for (const os of ["linux", "darwin", "freebsd"] as const) requireUnix("the demo", os);
});
