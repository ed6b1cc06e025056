/**
 * Rejects Windows for features that end processes with signals or start a broker from Kafka's jars.
 */

/** @throws {Error} with one line, on Windows. */
export function requireUnix(what: string, os: typeof Deno.build.os = Deno.build.os): void {
  if (os !== "windows") return;
  throw new Error(
    `${what} needs signals, which Windows does not have: use WSL; ` +
      "producer, tracker, and monitor run without it, and `deno task broker` with Docker",
  );
}
