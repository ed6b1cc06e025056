/**
 * Small files with a checksum that shows whether they are complete: JSON with the SHA-256 of its own text.
 *
 *     {"version":1,"sha256":"<of the body's text>","body":{...}}
 */

import { sha256 } from "./segments.ts";

export function encodeSealed(
  body: unknown,
  { version }: { readonly version: number },
): string {
  const text = JSON.stringify(body);
  return `{"version":${version},"sha256":"${sha256(text)}","body":${text}}\n`;
}

/**
 * Decodes the body. The checksum shows that we wrote it, so its shape can be trusted.
 *
 * @param version the highest supported version; lower ones can be read too.
 * @throws {SyntaxError} if the text is not whole, or of another version; the message says why.
 */
export function decodeSealed(
  text: string,
  { version, what }: { readonly version: number; readonly what: string },
): unknown {
  const parts = /^\{"version":(\d+),"sha256":"([0-9a-f]{64})","body":(\{.*\})\}\n$/.exec(text);
  if (parts === null) throw new SyntaxError(`it is not a whole ${what}`);
  const [, found, checksum, body] = parts;
  if (Number(found) < 1 || Number(found) > version) {
    const expected = version === 1 ? "1" : `1 to ${version}`;
    throw new SyntaxError(`its version is ${found}, expected ${expected}`);
  }
  if (body === undefined || sha256(body) !== checksum) {
    throw new SyntaxError("its checksum does not match its content");
  }
  return JSON.parse(body);
}
