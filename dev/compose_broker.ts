/**
 * The development broker as a container: the service `kafka` of docker-compose.yaml.
 */

import { join } from "node:path";

const COMPOSE_FILE = join(import.meta.dirname ?? ".", "..", "docker-compose.yaml");
const SERVICE = "kafka";
/** A running engine answers within a second; one that hangs must not block the start. */
const ENGINE_TIMEOUT_MS = 5_000;
/** The first start must pull the image. */
const START_TIMEOUT_SECONDS = 300;

export interface ComposeBroker {
  /** Stops the container; its records stay in the volume. */
  stop(): Promise<void>;
}

/** Reports whether a Docker engine and `docker compose` are available. */
export async function composeAnswers(): Promise<boolean> {
  const engine = await docker(["info", "--format", "{{.ServerVersion}}"], {
    signal: AbortSignal.timeout(ENGINE_TIMEOUT_MS),
  });
  if (!engine.success) return false;
  const compose = await docker(["compose", "version"], {
    signal: AbortSignal.timeout(ENGINE_TIMEOUT_MS),
  });
  return compose.success;
}

/**
 * Starts the container, pulling a missing image, and returns when its health check passes. Starts only the broker:
 * `up --wait` would treat the end of the one-shot service next to it as a failure.
 *
 * @throws {Error} with Docker's last line of output.
 */
export async function startComposeBroker(
  { port, signal }: { readonly port: number; readonly signal?: AbortSignal | undefined },
): Promise<ComposeBroker> {
  const env = { KAFKA_PORT: String(port) };
  const up = await compose(
    ["up", "--wait", "--wait-timeout", String(START_TIMEOUT_SECONDS), SERVICE],
    { env, signal },
  );
  signal?.throwIfAborted();
  if (!up.success) throw new Error(`Cannot start the broker with Docker Compose: "${up.reason}"`);

  return {
    async stop() {
      const stop = await compose(["stop", SERVICE], { env });
      if (!stop.success) {
        throw new Error(`Cannot stop the broker with Docker Compose: "${stop.reason}"`);
      }
    },
  };
}

interface DockerOptions {
  readonly env?: Record<string, string> | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface DockerResult {
  readonly success: boolean;
  /** The last line on standard error, where Docker prints what failed. */
  readonly reason: string;
}

function compose(args: readonly string[], options: DockerOptions): Promise<DockerResult> {
  return docker(["compose", "--file", COMPOSE_FILE, ...args], options);
}

async function docker(
  args: readonly string[],
  { env, signal }: DockerOptions,
): Promise<DockerResult> {
  try {
    const { success, stderr } = await new Deno.Command("docker", {
      args: [...args],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      detached: true, // out of Ctrl-C's reach: `signal` ends it
      ...(env && { env }),
      ...(signal && { signal }),
    }).output();
    const lines = new TextDecoder().decode(stderr).trim().split("\n");
    return { success, reason: lines.at(-1) ?? "" };
  } catch (error) {
    // A command that is not on PATH is not permitted either: --allow-run resolves names at the start.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) {
      return { success: false, reason: "docker is not on PATH" };
    }
    throw error;
  }
}
