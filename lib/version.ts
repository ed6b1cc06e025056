/**
 * Which orderflow this is.
 *
 * @module
 */

import project from "../deno.json" with { type: "json" };

/** `0.1.0 (Deno 2.9.6, linux x86_64)` */
export const VERSION =
  `${project.version} (Deno ${Deno.version.deno}, ${Deno.build.os} ${Deno.build.arch})`;
