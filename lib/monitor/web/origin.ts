/**
 * Which requests the page's server answers, and under which policy a browser shows what it sends.
 *
 * A web page can point its own host name at 127.0.0.1 (DNS rebinding) and then read what is served there. Its requests
 * carry that name in `Host`, so any name but ours is refused.
 */

import type { ProbeRequest, ProbeResponse } from "../../probe_server.ts";

/** The page runs its own script and style and talks to its own server; nothing else. */
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; " +
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; " +
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
};

const LOOPBACK_NAMES: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];
const ANY_ADDRESS: readonly string[] = ["0.0.0.0", "::"];
const ADDRESS_LITERAL = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\])$/;

/** Returns a response with the headers that every response has. */
export function secured({ headers, ...response }: ProbeResponse): ProbeResponse {
  return { ...response, headers: { ...SECURITY_HEADERS, ...headers } };
}

/** Returns why a request is not answered, as a response; undefined if it may be. */
export function refusalOf(
  { method, path, headers }: ProbeRequest,
  hostname: string,
): ProbeResponse | undefined {
  const host = headers.get("host");
  if (host === null) return { status: 400, body: { error: "expected a Host header" } };
  if (!isOwnHost(host, hostname)) {
    return { status: 421, body: { error: "the Host header names another server" } };
  }
  if (method !== "GET" && method !== "HEAD") {
    const body = { error: "only GET and HEAD are answered" };
    return { status: 405, body, headers: { allow: "GET, HEAD" } };
  }
  // A link to the page may be followed from anywhere; its data is for the page alone.
  const site = headers.get("sec-fetch-site") ?? "none";
  if (path.startsWith("/api/") && site !== "same-origin" && site !== "none") {
    return { status: 403, body: { error: "only the monitor's own page may ask for this" } };
  }
  return undefined;
}

/**
 * Whether the host is the one that is served. Its port may be another one, as through an SSH tunnel. Where any address is
 * served, every address literal is ours: rebinding needs a name.
 */
function isOwnHost(host: string, hostname: string): boolean {
  const name = host.toLowerCase().replace(/:\d{1,5}$/, "");
  const own = hostname.includes(":") ? `[${hostname}]` : hostname.toLowerCase();
  if (name === own) return true;
  if (ANY_ADDRESS.includes(hostname)) {
    return LOOPBACK_NAMES.includes(name) || ADDRESS_LITERAL.test(name);
  }
  return LOOPBACK_NAMES.includes(own) && LOOPBACK_NAMES.includes(name);
}
