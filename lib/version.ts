/**
 * The version of orderflow.
 *
 * @module
 */

import project from "../deno.json" with { type: "json" };

/** Set in a compiled binary when it is built. */
export const COMMIT_VARIABLE = "ORDERFLOW_COMMIT";

/** `0.1.0 (commit 0123456789ab, Deno 2.9.6, linux x86_64)`; the commit of a binary only. */
export const VERSION = `${project.version} (${builtFrom()}Deno ${Deno.version.deno}, ` +
  `${Deno.build.os} ${Deno.build.arch})`;

function builtFrom(): string {
  const { state } = Deno.permissions.querySync({ name: "env", variable: COMMIT_VARIABLE });
  const commit = state === "granted" ? Deno.env.get(COMMIT_VARIABLE) : undefined;
  return commit === undefined ? "" : `commit ${commit}, `;
}
