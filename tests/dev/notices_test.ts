import assert from "node:assert/strict";
import { embeddedPackages, licenseNotices } from "../../dev/notices.ts";

Deno.test("the notices of the compiled programs contain the license of each embedded package", async () => {
  const packages = await embeddedPackages();
  const names = packages.map((id) => id.slice(0, id.lastIndexOf("@")));
  for (const name of ["kafkajs", "@faker-js/faker", "pako", "ansi-regex"]) {
    assert.ok(names.includes(name), name);
  }
  assert.ok(!names.includes("assemblyscript") && !names.includes("binaryen"));
  const notices = await licenseNotices();
  for (const id of packages) assert.ok(notices.includes(`\n${id}, license: `), id);
  assert.ok(notices.split("Permission is hereby granted").length > packages.length / 2);
});
