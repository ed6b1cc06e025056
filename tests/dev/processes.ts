interface Process {
  readonly pid: number;
  readonly args: string;
}

/** Lists processes with `ps`, because Deno needs all permissions to read /proc. */
export async function processes(): Promise<readonly Process[]> {
  const { stdout } = await new Deno.Command("ps", { args: ["-ww", "-eo", "pid=,args="] }).output();
  return new TextDecoder().decode(stdout).trimEnd().split("\n").map((line) => {
    const [, pid = "", args = ""] = /^ *(\d+) (.*)$/.exec(line) ?? [];
    return { pid: Number(pid), args };
  });
}

/** Returns the processes whose command line contains the folder. */
export async function processesOf(folder: string): Promise<readonly Process[]> {
  return (await processes()).filter(({ args }) => args.includes(folder));
}
