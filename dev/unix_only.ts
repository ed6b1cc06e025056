/**
 * What does not work on Windows: everything that ends processes with signals, and a broker from Kafka's jars.
 *
 * @module
 */

/** @throws {Error} in one line, on Windows. */
export function requireUnix(what: string, os: typeof Deno.build.os = Deno.build.os): void {
  if (os !== "windows") return;
  throw new Error(
    `${what} needs signals, which Windows does not have: use WSL; ` +
      "producer, tracker, and monitor run without it, and `deno task broker` with Docker",
  );
}
