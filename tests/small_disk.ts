/**
 * A disk that is soon full: a tmpfs of a few kilobytes or megabytes. Mounting one requires root.
 */

/** Runs a command without showing its output; returns false if it fails or does not exist. */
export async function succeeds(command: string, ...args: readonly string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(command, {
      args: [...args],
      stdout: "null",
      stderr: "null",
    }).output();
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Mounts a disk over a folder; `size` is in tmpfs's notation, such as `8m`. Returns false if that is not permitted.
 */
export async function mountSmallDisk(folder: string, size: string): Promise<boolean> {
  return await succeeds("mount", "-t", "tmpfs", "-o", `size=${size}`, "tmpfs", folder);
}

/** True if this user may mount a tmpfs. */
export const MAY_MOUNT = await (async () => {
  const folder = await Deno.makeTempDir({ prefix: "orderflow-mount-" });
  const isMounted = await mountSmallDisk(folder, "64k");
  if (isMounted) await succeeds("umount", folder);
  await Deno.remove(folder);
  return isMounted;
})();
