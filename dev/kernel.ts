#!/usr/bin/env -S deno run --no-prompt --allow-read --allow-write=lib/kernel --allow-env
/**
 * Builds the WebAssembly kernel from its AssemblyScript source, and writes it to `lib/kernel/module.ts`.
 *
 *     deno task kernel
 */

import { join } from "node:path";
import { runProgram } from "../lib/cli/cli.ts";
import { printLine } from "../lib/terminal.ts";

/** The part of the compiler's interface used here. */
interface Compiler {
  main(
    args: readonly string[],
    files: {
      readonly readFile: (name: string) => Promise<string | null>;
      readonly writeFile: (name: string, contents: string | Uint8Array) => void;
      readonly listFiles: () => readonly string[];
    },
  ): Promise<{ readonly error: Error | null; readonly stderr: { toString(): string } }>;
}

/**
 * A variable rather than a literal in `import()`, because the compiler's global types would change those of the whole
 * program.
 */
const COMPILER: string = "assemblyscript/asc";
const FOLDER = join(import.meta.dirname ?? ".", "..", "lib", "kernel");
/** Pages of 64 KiB that `assembly/memory.ts` needs. */
const MEMORY_PAGES = "197";

/** Returns the module's bytes. The build is reproducible. */
export async function buildKernel(): Promise<Uint8Array<ArrayBuffer>> {
  const { main: compile }: Compiler = await import(COMPILER);
  const written = new Map<string, string | Uint8Array>();
  const { error, stderr } = await compile([
    "index.ts",
    ...["--outFile", "kernel.wasm", "--runtime", "stub", "-O3", "--converge", "--noAssert"],
    ...["--enable", "simd", "--enable", "bulk-memory"],
    ...["--initialMemory", MEMORY_PAGES, "--maximumMemory", MEMORY_PAGES],
  ], {
    readFile: readSource,
    writeFile: (name, contents) => void written.set(name, contents),
    listFiles: () => [],
  });
  const module = written.get("kernel.wasm");
  if (error !== null || !(module instanceof Uint8Array)) {
    throw new Error(`the kernel cannot be compiled: ${error?.message}\n${stderr.toString()}`);
  }
  return new Uint8Array(module);
}

async function readSource(name: string): Promise<string | null> {
  try {
    // The compiler appends the extension to each import, though Deno's have it already.
    return await Deno.readTextFile(join(FOLDER, "assembly", name.replace(/(\.ts)+$/, ".ts")));
  } catch {
    return null; // the compiler tries several names for an import
  }
}

async function main(): Promise<void> {
  const module = await buildKernel();
  await Deno.writeTextFile(
    join(FOLDER, "module.ts"),
    `/**
 * The kernel's WebAssembly, built from \`assembly/\` by \`deno task kernel\`.
 */

export const KERNEL_BASE64 =
  "${module.toBase64()}";
`,
  );
  printLine(`lib/kernel/module.ts: ${module.length} bytes of WebAssembly`);
}

if (import.meta.main) await runProgram(main);
