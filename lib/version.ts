/**
 * The version of orderflow.
 */

import project from "../deno.json" with { type: "json" };

/** Set in a compiled binary when it is built. */
export const COMMIT_VARIABLE = "ORDERFLOW_COMMIT";

/** `0.1.0 (commit 0123456789ab, Deno 2.9.6, linux x86_64)`; the commit of a binary only. */
export const VERSION = `${project.version} (${builtFrom()}Deno ${Deno.version.deno}, ` +
  `${Deno.build.os} ${Deno.build.arch})`;

/** The same as labels of a metric. */
export const BUILD_LABELS: Readonly<Record<string, string>> = {
  version: project.version,
  ...commitLabel(),
  deno: Deno.version.deno,
  os: Deno.build.os,
  arch: Deno.build.arch,
};

function commitLabel(): { readonly commit?: string } {
  const known = commit();
  return known === undefined ? {} : { commit: known };
}

function builtFrom(): string {
  const known = commit();
  return known === undefined ? "" : `commit ${known}, `;
}

function commit(): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable: COMMIT_VARIABLE });
  return state === "granted" ? Deno.env.get(COMMIT_VARIABLE) : undefined;
}
